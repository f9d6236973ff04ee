// Command speed measures calls and sends of a fleet, and for comparison a bare request
// and a bare publish of nats.go. It measures all of them in one run, so that the ratios
// hold whatever else the machine does:
//
//	go run ./speed
//
// One server, two workers with 64 places and one caller, each in its own process,
// communicate over loopback. A job echoes about 150 bytes of JSON. The output is
// Markdown.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// note is the input and the output of the jobs.
type note struct {
	Name string `json:"name"`
	Size int    `json:"size"`
	Text string `json:"text"`
}

var kind = fleet.Kind[note, note]{Name: "speed"}

var sample = note{Name: "a.png", Size: 17, Text: "Some text that is as long as what such a job has to carry, which is not much, but more than a number and its name."}

// bareStream is the stream that stores bare publishes.
const bareStream, bareSubject, bareRequest = "BARE", "bare.publish", "bare.request"

func main() {
	length := flag.Duration("cell", 2*time.Second, "how long each cell is measured")
	rounds := flag.Int("rounds", 5, "rounds of which the medians are taken")
	flag.Parse()
	if role := os.Getenv(roleVar); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		return
	}
	fmt.Printf("%s, %d cores, fsync p50 %v, %v a cell, medians of %d rounds\n", runtime.Version(), runtime.NumCPU(), fsyncTime(), *length, *rounds)
	for _, lazy := range []bool{true, false} {
		if err := measure(lazy, *length, *rounds); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// cell is the result of one measurement.
type cell struct {
	rate     float64 // jobs per second
	p50, p99 time.Duration
	cpu      [3]time.Duration // per job: of the caller, the server, the workers
}

func (c cell) String() string {
	if c.rate == 0 {
		return "-"
	}
	s := fmt.Sprintf("%.1f k/s", c.rate/1000)
	if c.p50 > 0 {
		s += fmt.Sprintf(", %.2f ms, p99 %.1f", c.p50.Seconds()*1000, c.p99.Seconds()*1000)
	}
	return s
}

// run has n goroutines call f again and again for some time.
func run(n int, length time.Duration, f func() error) (cell, error) {
	var work sync.WaitGroup
	all := make([][]time.Duration, n)
	errs := make([]error, n)
	began := time.Now()
	for i := range n {
		work.Go(func() {
			for time.Since(began) < length && errs[i] == nil {
				start := time.Now()
				errs[i] = f()
				all[i] = append(all[i], time.Since(start))
			}
		})
	}
	work.Wait()
	took := time.Since(began)
	times := slices.Concat(all...)
	slices.Sort(times)
	c := cell{rate: float64(len(times)) / took.Seconds(), p50: times[len(times)/2], p99: times[len(times)*99/100]}
	for _, err := range errs {
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// median returns the round with the median rate.
func median(all []cell) cell {
	slices.SortFunc(all, func(a, b cell) int { return int(a.rate - b.rate) })
	return all[len(all)/2]
}

func measure(lazy bool, length time.Duration, rounds int) error {
	s, err := newStage(lazy)
	if err != nil {
		return err
	}
	defer s.close()
	ctx := context.Background()
	nc, err := nats.Connect(s.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: bareStream, Subjects: []string{bareSubject}, MaxMsgs: 10_000}); err != nil {
		return err
	}
	if err := kind.Provision(ctx, nc, fleet.Settings{MaxJobs: 1_000_000, KeepFor: 5 * time.Second}); err != nil {
		return err
	}
	for range 2 {
		if err := s.hire(); err != nil {
			return err
		}
	}
	client, err := fleet.NewClient(ctx, nc, kind)
	if err != nil {
		return err
	}
	defer client.Close()
	body, err := json.Marshal(sample)
	if err != nil {
		return err
	}

	windows := []int{1, 16, 128}
	rows := []string{"bare request", "bare publish", "call", "send"}
	cells := map[string][][]cell{}
	for _, row := range rows {
		cells[row] = make([][]cell, len(windows))
	}
	batches := map[int][]cell{}
	for range rounds {
		for w, n := range windows {
			pool := dispatch.Must(dispatch.New(client.Call, dispatch.WithWorkers(n)))
			for _, row := range rows {
				f := map[string]func() error{
					"bare request": func() error { _, err := nc.Request(bareRequest, body, time.Minute); return err },
					"bare publish": func() error { _, err := js.Publish(ctx, bareSubject, body); return err },
					"call":         func() error { _, err := pool.Process(ctx, sample); return err },
					"send":         func() error { _, err := client.Send(ctx, sample); return err },
				}[row]
				before := s.cpu()
				c, err := run(n, length, f)
				if err != nil {
					return fmt.Errorf("%s, %d in flight: %w", row, n, err)
				}
				if err := rest(nc); err != nil {
					return err
				}
				c.cpu = perJob(before, s.cpu(), c.rate*length.Seconds())
				cells[row][w] = append(cells[row][w], c)
			}
			if err := pool.Close(); err != nil {
				return err
			}
		}
		for _, n := range []int{128, 256} {
			c, err := batch(ctx, client, n)
			if err != nil {
				return err
			}
			batches[n] = append(batches[n], c)
		}
	}
	idle := s.idle()

	mode := map[bool]string{true: "LazySync", false: "SyncAlways"}[lazy]
	fmt.Printf("\n| %s | 1 in flight | 16 | 128 |\n|---|---|---|---|\n", mode)
	for _, row := range rows {
		fmt.Printf("| %s | %v | %v | %v |\n", row, median(cells[row][0]), median(cells[row][1]), median(cells[row][2]))
	}
	fmt.Printf("\nbatch of 10,000: window 128 %v, window 256 %v (best of %d)\n", best(batches[128]), best(batches[256]), rounds)
	bare, call, calls := median(cells["bare request"][0]), median(cells["call"][0]), median(cells["call"][2])
	bares := median(cells["bare request"][2])
	fmt.Printf("call / bare request: p50 at 1 in flight %.1f x, throughput at 128 %.2f x; batch / calls at 128: %.2f x\n",
		call.p50.Seconds()/bare.p50.Seconds(), calls.rate/bares.rate, best(batches[256]).rate/calls.rate)
	fmt.Printf("CPU a call at 128: %v (caller %v, server %v, workers %v); two idle workers of 64 places: %.2f %% of a core\n",
		(calls.cpu[0] + calls.cpu[1] + calls.cpu[2]).Round(time.Microsecond), calls.cpu[0].Round(time.Microsecond), calls.cpu[1].Round(time.Microsecond),
		calls.cpu[2].Round(time.Microsecond), idle*100)
	return nil
}

func best(all []cell) cell {
	return slices.MaxFunc(all, func(a, b cell) int { return int(a.rate - b.rate) })
}

// batch measures a batch of 10,000 calls.
func batch(ctx context.Context, client *fleet.Client[note, note], window int) (cell, error) {
	pool := dispatch.Must(dispatch.New(client.Call, dispatch.WithWorkers(window)))
	defer pool.Close()
	ins := make([]note, 10_000)
	for i := range ins {
		ins[i] = sample
	}
	began := time.Now()
	b := pool.Batch(ctx)
	if err := b.Add(ins...); err != nil {
		return cell{}, err
	}
	_, err := b.Wait(ctx)
	return cell{rate: float64(len(ins)) / time.Since(began).Seconds()}, err
}

// rest waits until no job is left.
func rest(nc *nats.Conn) error {
	for {
		s, err := kind.Stats(context.Background(), nc)
		if err != nil || s.Waiting+s.Taken == 0 {
			return err
		}
		<-time.After(10 * time.Millisecond)
	}
}

// fsyncTime returns the median time of a write of 512 bytes and its fsync.
func fsyncTime() time.Duration {
	f, err := os.CreateTemp("", "fsync")
	if err != nil {
		return 0
	}
	defer os.Remove(f.Name())
	defer f.Close()
	times := make([]time.Duration, 200)
	for i := range times {
		began := time.Now()
		if _, err := f.Write(make([]byte, 512)); err != nil {
			return 0
		}
		if err := f.Sync(); err != nil {
			return 0
		}
		times[i] = time.Since(began)
	}
	slices.Sort(times)
	return times[len(times)/2].Round(time.Microsecond)
}
