package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/dispatch/examples/internal/words"
)

// A crew holds the worker processes of a run, and a journal of their work.
type crew struct {
	mu      sync.Mutex // guards the fields below, and the workers' fields that say so
	workers []*worker
	begun   map[string]int // how often each zip was begun

	leaving bool // sendHome was called

	onBegin func(*worker) // called after the journal entry; may be nil
	onLoss  func(error)   // called when no worker is left although sendHome was not called
}

// A worker is a process.
type worker struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer

	ended  int      // zips; guarded by the crew's mu
	at     []string // zips that the worker has begun and not ended; guarded by the crew's mu
	killed bool     // by us; guarded by the crew's mu

	over chan struct{} // closed when the process has ended
	err  error         // of the process; set before over is closed
}

// closeLimit is how long a worker may take to finish its zips.
const closeLimit = time.Minute

// hire starts a worker process: this program again.
func (c *crew) hire(o orders, stderr io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	w := &worker{name: o.Name, cmd: exec.Command(program), over: make(chan struct{})}
	w.cmd.Env = append(os.Environ(), workerVar+"=1")
	w.cmd.Stderr = stderr
	stdin, err := w.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.cmd.Start(); err != nil {
		return err
	}
	w.stdin = stdin
	c.mu.Lock()
	c.workers = append(c.workers, w)
	c.mu.Unlock()
	go c.follow(w, stdout)
	return json.NewEncoder(stdin).Encode(o)
}

// follow writes the journal of a worker until its process has ended.
func (c *crew) follow(w *worker, stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if verb, zip, ok := strings.Cut(lines.Text(), " "); ok {
			c.note(w, verb, zip)
		}
	}
	w.err = w.cmd.Wait()
	close(w.over)
	c.mu.Lock()
	lost := !c.leaving && !slices.ContainsFunc(c.workers, (*worker).lives)
	c.mu.Unlock()
	if lost {
		c.onLoss(errors.New("no worker is left: " + w.end()))
	}
}

func (c *crew) note(w *worker, verb, zip string) {
	c.mu.Lock()
	switch verb {
	case begins:
		c.begun[zip]++
		w.at = append(w.at, zip)
	case ends:
		w.ended++
		w.at = slices.DeleteFunc(w.at, func(at string) bool { return at == zip })
	}
	c.mu.Unlock()
	if verb == begins && c.onBegin != nil {
		c.onBegin(w)
	}
}

// kill ends a worker as kill -9 does, unless it has ended already.
func (c *crew) kill(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.killed = w.cmd.Process.Kill() == nil
}

// sendHome lets the workers finish their zips, and waits until all processes have
// ended.
func (c *crew) sendHome() {
	c.mu.Lock()
	c.leaving = true
	workers := c.workers
	c.mu.Unlock()
	for _, w := range workers {
		w.stdin.Close()
	}
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	for _, w := range workers {
		select {
		case <-w.over:
		case <-limit.C:
			limit.Reset(0) // for the remaining workers
			_ = w.cmd.Process.Kill()
			<-w.over
		}
	}
}

// print writes what each worker has done, and which zips were begun more than once. It
// is called after all processes have ended.
func (c *crew) print(out io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.workers {
		fmt.Fprintf(out, "  %s, process %d: %s", w.name, w.cmd.Process.Pid, words.Count(w.ended, "zip"))
		switch {
		case w.killed:
			fmt.Fprintf(out, ", then killed while it was at %s", list(w.at))
		case w.err != nil:
			fmt.Fprintf(out, ", then %v while it was at %s", w.err, list(w.at))
		}
		fmt.Fprintln(out)
	}
	var again []string
	for zip, times := range c.begun {
		if times > 1 {
			again = append(again, zip)
		}
	}
	slices.Sort(again)
	fmt.Fprintln(out, "begun twice:", list(again))
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

func (w *worker) lives() bool {
	select {
	case <-w.over:
		return false
	default:
		return true
	}
}

// end describes how the process has ended.
func (w *worker) end() string {
	if w.err != nil {
		return fmt.Sprintf("%s: %v", w.name, w.err)
	}
	return w.name + ": ended by itself"
}
