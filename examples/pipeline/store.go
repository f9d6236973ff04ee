package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// A store is a database of pages and their faults. One goroutine may use it at a time.
// It answers in a millisecond or less, so its callers give it contexts that do not end.
type store struct {
	db  *sql.DB
	dir string // of a temporary database, which close removes; otherwise empty
}

// schema has a row for each page, with its facts or its fault.
const schema = `CREATE TABLE IF NOT EXISTS pages (
	path  TEXT PRIMARY KEY,
	title TEXT NOT NULL,
	bytes INTEGER NOT NULL,
	words INTEGER NOT NULL,
	links INTEGER NOT NULL,
	fault TEXT NOT NULL
)`

// openStore opens the database in the file name, and creates it if it does not exist.
// Without a name it creates a temporary one, which close removes.
func openStore(ctx context.Context, name string) (*store, error) {
	s := new(store)
	if name == "" {
		dir, err := os.MkdirTemp("", "pipeline-")
		if err != nil {
			return nil, err
		}
		s.dir, name = dir, filepath.Join(dir, "pages.db")
	}
	if err := s.open(ctx, name); err != nil {
		s.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (s *store) open(ctx context.Context, name string) (err error) {
	// With a write-ahead log a row costs microseconds, and a stored row survives even
	// if the process is killed.
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: filepath.ToSlash(name)}).EscapedPath(), RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(wal)", "synchronous(normal)"},
	}.Encode()}
	if s.db, err = sql.Open("sqlite", dsn.String()); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1)
	_, err = s.db.ExecContext(ctx, schema)
	return err
}

// close closes the database, and removes it if it is a temporary one.
func (s *store) close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
	return err
}

// done returns the paths of the pages that are stored.
func (s *store) done(ctx context.Context) (map[string]bool, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT path FROM pages`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	done := make(map[string]bool)
	for rows.Next() {
		var path string
		if err := rows.Scan(&path); err != nil {
			return nil, err
		}
		done[path] = true
	}
	return done, rows.Err()
}

// add stores a page in one transaction, so an interrupt leaves no half-stored page.
func (s *store) add(ctx context.Context, f facts) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO pages (path, title, bytes, words, links, fault) VALUES (?, ?, ?, ?, ?, ?)`,
		f.path, f.title, f.bytes, f.words, f.links, f.fault)
	return err
}

// A total is the number of pages with the same fault, or of the good pages.
type total struct {
	fault string // empty for the good ones
	pages int
	bytes int64
	words int
	links int
}

// totals returns the total of the good pages first, and then those of the faults,
// ordered by their text.
func (s *store) totals(ctx context.Context) ([]total, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT fault, count(*), sum(bytes), sum(words), sum(links) FROM pages GROUP BY fault ORDER BY fault`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []total
	for rows.Next() {
		var t total
		if err := rows.Scan(&t.fault, &t.pages, &t.bytes, &t.words, &t.links); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// longest returns at most n good pages, those with the most words first.
func (s *store) longest(ctx context.Context, n int) ([]facts, error) {
	return s.query(ctx, `WHERE fault = '' ORDER BY words DESC, path LIMIT ?`, n)
}

// all returns all pages, keyed by path.
func (s *store) all(ctx context.Context) ([]facts, error) {
	return s.query(ctx, `ORDER BY path`)
}

func (s *store) query(ctx context.Context, which string, args ...any) ([]facts, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT path, title, bytes, words, links, fault FROM pages `+which, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []facts
	for rows.Next() {
		var f facts
		if err := rows.Scan(&f.path, &f.title, &f.bytes, &f.words, &f.links, &f.fault); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, rows.Err()
}
