package page

import (
	"bytes"
	"fmt"
	"net/url"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
)

// writeStacks writes the stacks of the goroutines that carry a pool's pprof labels:
// its workers, and the goroutines that handlers have started, which inherit the
// labels.
func (p *Page) writeStacks(out *bytes.Buffer, query url.Values) *failure {
	for key := range query {
		if key != "stacks" && key != "worker" {
			return badQuery("The query parameter %q cannot be combined with stacks.", key)
		}
	}
	number, err := strconv.Atoi(query.Get("stacks"))
	if err != nil {
		return badQuery("stacks=%q: it must be the number of a pool.", query.Get("stacks"))
	}
	pools := p.watching()
	i := slices.IndexFunc(pools, func(w *watched) bool { return w.number == number })
	if i < 0 {
		return notFound("There is no pool %d on this page.", number)
	}
	stats := pools[i].pool.Stats()
	if !stats.Telemetry {
		return notFound("Pool %d was made without WithTelemetry: its goroutines carry no labels.", number)
	}
	labels := []string{pprofLabel("dispatch.pool", stats.Name)}
	whose := fmt.Sprintf("pool %q", stats.Name)
	if query.Has("worker") {
		worker, err := strconv.Atoi(query.Get("worker"))
		if err != nil || worker < 1 {
			return badQuery("worker=%q: it must be the number of a worker, from 1.", query.Get("worker"))
		}
		labels = append(labels, pprofLabel("dispatch.worker", strconv.Itoa(worker)))
		whose += fmt.Sprintf(", worker %d", worker)
	}

	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return &failure{500, "The goroutine profile failed: " + err.Error()}
	}
	found := labeled(profile.String(), labels)
	if len(found) == 0 {
		return notFound("No goroutine of %s was found: it has none now, or its handler has replaced the pprof labels.", whose)
	}
	fmt.Fprintf(out, "Goroutines of %s. Those with the same stack and labels are listed once, with their count.\n", whose)
	for _, group := range found {
		fmt.Fprintf(out, "\n%s\n", group)
	}
	return nil
}

// pprofLabel returns a label as the goroutine profile writes it. The profile escapes
// the quotes inside other labels, so the result does not occur in them.
func pprofLabel(key, value string) string { return fmt.Sprintf("%q:%q", key, value) }

// labeled returns the groups of a goroutine profile (debug=1) that carry all the
// labels.
func labeled(profile string, labels []string) []string {
	var found []string
	for group := range strings.SplitSeq(profile, "\n\n") {
		for line := range strings.Lines(group) {
			if text, ok := strings.CutPrefix(line, "# labels: "); ok {
				if !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(text, l) }) {
					found = append(found, strings.TrimSpace(group))
				}
				break
			}
		}
	}
	return found
}
