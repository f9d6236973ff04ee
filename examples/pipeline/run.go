package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"example.com/dispatch/examples/internal/cli"
	"example.com/dispatch/examples/internal/progress"
	"example.com/dispatch/examples/internal/words"
)

// run is the program. It writes the report to std.Out and progress to std.Err.
func run(ctx context.Context, args []string, std cli.Streams) (err error) {
	opts, err := parseFlags(args, std)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	st, err := openStore(context.WithoutCancel(ctx), opts.db)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	web := newSite(opts.pages)
	defer web.Close()
	f := newFetcher(web.URL, opts.rate, opts.fetchers)
	defer f.close()
	return fill(ctx, st, f, opts, std)
}

// fill stores the pages that are not stored yet, and prints the report.
func fill(ctx context.Context, st *store, f *fetcher, opts options, std cli.Streams) error {
	database := context.WithoutCancel(ctx)
	paths, err := missing(database, st, opts.pages)
	if err != nil {
		return err
	}
	if there := opts.pages - len(paths); there > 0 {
		fmt.Fprintf(std.Out, "stored already: %s of %s\n", words.Number(there), words.Count(opts.pages, "page"))
	}
	c := &crawl{fetcher: f, fetchers: opts.fetchers, store: st}
	start := time.Now()
	if len(paths) > 0 {
		err = watched(ctx, c, paths, std.Err)
	}
	elapsed := time.Since(start)
	switch {
	case err != nil && ctx.Err() != nil && opts.db != "":
		return fmt.Errorf("%w after %s of %s; -db %s goes on from there", context.Cause(ctx), words.Number(c.done), words.Count(len(paths), "page"), opts.db)
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w after %s of %s", context.Cause(ctx), words.Number(c.done), words.Count(len(paths), "page"))
	case err != nil:
		return err
	}
	if err := st.print(database, std.Out); err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "%v, %s (%d of them again); %s in memory at most\n", words.Time(elapsed),
		words.Count(int(f.requests.Load()), "request"), f.retries.Load(), words.Count(c.held.most, "page"))
	if c.failed > 0 {
		return fmt.Errorf("%s could not be fetched for now; the last: %w", words.Count(c.failed, "page"), c.lastFail)
	}
	return nil
}

// missing returns the paths of the pages that are not stored.
func missing(ctx context.Context, st *store, pages int) ([]string, error) {
	done, err := st.done(ctx)
	if err != nil {
		return nil, err
	}
	var paths []string
	for n := range pages {
		if path := pagePath(n); !done[path] {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// watched runs c and shows its progress.
func watched(ctx context.Context, c *crawl, paths []string, w io.Writer) error {
	add, end := progress.Stages(w,
		progress.Work{Label: "fetched", Noun: "page", Files: len(paths)},
		progress.Work{Label: "stored", Noun: "page", Files: len(paths)},
	)
	defer end()
	c.fetched, c.stored = add[0], add[1]
	return c.run(ctx, paths)
}

// print writes a report of the database.
func (s *store) print(ctx context.Context, w io.Writer) error {
	longest, err := s.longest(ctx, 3)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "longest pages (words)")
	for _, f := range longest {
		fmt.Fprintf(w, "%9s  %s\n", words.Number(f.words), f.title)
	}
	totals, err := s.totals(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, t := range totals {
		if t.fault != "" {
			fmt.Fprintf(w, "%s: %s\n", words.Count(t.pages, "page"), t.fault)
			continue
		}
		fmt.Fprintf(w, "%s stored: %s, %s, %s\n", words.Count(t.pages, "page"),
			words.Count(t.words, "word"), words.Count(t.links, "link"), words.Bytes(t.bytes))
	}
	return nil
}
