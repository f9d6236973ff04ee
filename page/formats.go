package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"example.com/dispatch"
)

// document is the page as JSON. Durations are in seconds.
type document struct {
	Time  time.Time      `json:"time"`
	Pools []poolDocument `json:"pools"`
}

type poolDocument struct {
	Number int            `json:"number"`
	Name   string         `json:"name"`
	Health healthDocument `json:"health"`
	State  dispatch.State `json:"state"`
	Paused bool           `json:"paused"`

	Workers    int  `json:"workers"`
	Idle       int  `json:"idle"`
	Running    int  `json:"running"`
	Queued     int  `json:"queued"`
	Blocked    int  `json:"blocked"`
	Strays     int  `json:"strays"`
	MaxRunning *int `json:"maxRunning"` // null: unlimited
	MaxQueued  *int `json:"maxQueued"`

	Submitted uint64 `json:"submitted"`
	Succeeded uint64 `json:"succeeded"`
	Failed    uint64 `json:"failed"`
	Panicked  uint64 `json:"panicked"`
	Canceled  uint64 `json:"canceled"`
	TimedOut  uint64 `json:"timedOut"`
	Dropped   uint64 `json:"dropped"`
	Rejected  uint64 `json:"rejected"`
	GaveUp    uint64 `json:"gaveUp"`

	Telemetry *telemetryDocument `json:"telemetry"` // null: the pool has none
}

type healthDocument struct {
	Word   string `json:"word"`
	Reason string `json:"reason"`
}

type telemetryDocument struct {
	OldestWait float64            `json:"oldestWait"`
	LongestRun float64            `json:"longestRun"`
	Wait       dispatch.Histogram `json:"wait"`
	Run        dispatch.Histogram `json:"run"`
	Running    []jobDocument      `json:"running"`
	Failures   []jobDocument      `json:"failures"`
}

type jobDocument struct {
	Label     string           `json:"label,omitempty"`
	Worker    int              `json:"worker"` // 0: no worker started on it
	Index     *int             `json:"index"`  // null: a single job
	Submitted time.Time        `json:"submitted"`
	Wait      float64          `json:"wait"`
	Run       float64          `json:"run"`
	Outcome   dispatch.Outcome `json:"outcome"`
	Error     string           `json:"error,omitempty"`
	Stack     string           `json:"stack,omitempty"`
	Stray     bool             `json:"stray,omitempty"`
}

func writeJSON(out *bytes.Buffer, l look) {
	doc := document{Time: l.at, Pools: []poolDocument{}}
	for _, s := range l.pools {
		doc.Pools = append(doc.Pools, poolDocumentOf(s))
	}
	e := json.NewEncoder(out)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		panic(err) // a bug in this package: doc has only plain values, and a Buffer accepts all writes
	}
}

func poolDocumentOf(s sight) poolDocument {
	st := s.stats
	d := poolDocument{
		Number: s.number, Name: st.Name, Health: healthDocument{s.health.Word, s.health.Reason}, State: st.State, Paused: st.Paused,
		Workers: st.Workers, Idle: st.Idle, Running: st.Running, Queued: st.Queued, Blocked: st.Blocked, Strays: st.Strays,
		MaxRunning: limit(st.MaxRunning), MaxQueued: limit(st.MaxQueued),
		Submitted: st.Submitted, Succeeded: st.Succeeded, Failed: st.Failed, Panicked: st.Panicked, Canceled: st.Canceled,
		TimedOut: st.TimedOut, Dropped: st.Dropped, Rejected: st.Rejected, GaveUp: st.GaveUp,
	}
	if st.Telemetry {
		d.Telemetry = &telemetryDocument{
			OldestWait: st.OldestWait.Seconds(), LongestRun: st.LongestRun.Seconds(), Wait: st.Wait, Run: st.Run,
			Running: jobDocuments(s.running, nil), Failures: jobDocuments(s.failures, s.errors),
		}
	}
	return d
}

func limit(n int) *int {
	if n == dispatch.Unlimited {
		return nil
	}
	return &n
}

// jobDocuments returns jobs as JSON documents. errors has the descriptions of the
// jobs' errors, or is nil.
func jobDocuments(jobs []dispatch.Job, errors []description) []jobDocument {
	docs := make([]jobDocument, len(jobs))
	for i, j := range jobs {
		docs[i] = jobDocument{
			Label: cut(j.Label, maxLabel), Worker: j.Worker, Submitted: j.Submitted, Wait: j.Wait.Seconds(), Run: j.Run.Seconds(),
			Outcome: j.Outcome, Stray: j.Stray,
		}
		if errors != nil {
			docs[i].Error, docs[i].Stack = errors[i].text, errors[i].stack
		}
		if j.Index >= 0 {
			docs[i].Index = &j.Index
		}
	}
	return docs
}

// writeText writes the page for a terminal.
func writeText(out *bytes.Buffer, l look) {
	if len(l.pools) == 0 {
		fmt.Fprintln(out, "This page has no pools.")
	}
	for i, s := range l.pools {
		if i > 0 {
			fmt.Fprintln(out)
		}
		writePoolText(out, poolViewOf(l.at, s))
	}
}

func writePoolText(out *bytes.Buffer, v poolView) {
	fmt.Fprintf(out, "%s: %s. %s\n", oneLine(v.Name), v.Health.Word, oneLine(v.Health.Reason))
	table := func(write func(row func(cells ...any))) {
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		write(func(cells ...any) {
			for _, c := range cells {
				fmt.Fprintf(w, "  %v\t", c)
			}
			fmt.Fprintln(w)
		})
		_ = w.Flush()
	}
	table(func(row func(...any)) {
		for _, d := range v.Dials {
			row(d.Name, d.Value, d.Of)
		}
	})
	table(func(row func(...any)) {
		for _, c := range v.Counters {
			if c.Recent != "" {
				row(c.Name, c.Value, "+"+c.Recent+" in the last "+v.Span)
			} else {
				row(c.Name, c.Value, "")
			}
		}
	})
	if !v.Telemetry {
		return
	}
	table(func(row func(...any)) {
		row("", "", "jobs", "mean", "p50", "p90", "p99")
		for _, t := range v.Times {
			row(t.Name, t.Over, t.Count, t.Mean, t.P50, t.P90, t.P99)
		}
	})
	if len(v.Running) > 0 {
		table(func(row func(...any)) {
			row("running", "job", "waited", "worker", "")
			for _, j := range v.Running {
				row(j.Run, oneLine(j.Job), j.Wait, j.Worker, j.State)
			}
		})
	}
	if v.MoreRunning != "" {
		fmt.Fprintf(out, "  and %s more\n", v.MoreRunning)
	}
	for _, g := range v.Failures {
		for _, j := range g.First {
			fmt.Fprintf(out, "  %s %s: %s: %s\n", g.Outcome, j.Ago, oneLine(j.Job), oneLine(j.Error))
		}
		if len(g.Rest) > 0 {
			fmt.Fprintf(out, "  %d more %s\n", len(g.Rest), g.Outcome)
		}
	}
}
