package embedded_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// long makes the tests of failures run at full length.
var long = flag.Bool("long", false, "run the tests of failures at full length")

// Where a test has to kill a process, the test binary starts itself again in a role.
const (
	roleVar    = "FLEET_TEST_ROLE"
	urlVar     = "FLEET_TEST_URL"
	dirVar     = "FLEET_TEST_DIR"
	placesVar  = "FLEET_TEST_PLACES"
	journalVar = "FLEET_TEST_JOURNAL"
	nameVar    = "FLEET_TEST_NAME"
	routesVar  = "FLEET_TEST_ROUTES"
)

func TestMain(m *testing.M) {
	roles := map[string]func() error{"worker": beWorker, "caller": beCaller, "server": beServer, "member": beMember}
	if role := os.Getenv(roleVar); role != "" {
		if err := roles[role](); err != nil {
			fmt.Fprintln(os.Stderr, role, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Most of these tests wait for other processes' timers, not for a processor.
	_ = flag.Set("test.parallel", "8")
	goleak.VerifyTestMain(m)
}

// ready tells the test that the process is ready in its role.
func ready(what string) { fmt.Println("ready", what) }

// untilSignal returns a context that ends with SIGTERM.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM)
}

func beWorker() error {
	ctx, stop := untilSignal()
	defer stop()
	places, err := strconv.Atoi(os.Getenv(placesVar))
	if err != nil {
		return err
	}
	nc, err := nats.Connect(os.Getenv(urlVar), always(nats.Name(os.Getenv(nameVar)))...)
	if err != nil {
		return err
	}
	defer nc.Close()
	j := journal(os.Getenv(journalVar))
	p, err := dispatch.New(j.handler(os.Getenv(nameVar)), dispatch.WithWorkers(places))
	if err != nil {
		return err
	}
	ready("")
	return fleet.Serve(ctx, nc, tasks, p)
}

// beCaller makes calls that take a long time. The test kills it during them.
func beCaller() error {
	nc, err := nats.Connect(os.Getenv(urlVar), always()...)
	if err != nil {
		return err
	}
	c, err := fleet.NewClient(context.Background(), nc, tasks)
	if err != nil {
		return err
	}
	p, err := dispatch.New(c.Call, dispatch.WithWorkers(8))
	if err != nil {
		return err
	}
	ready("")
	_, err = p.Map(context.Background(), many(8, task{Nap: time.Second}))
	return err
}

func beServer() error {
	s, err := embedded.Start(embedded.Options{Dir: os.Getenv(dirVar), Listen: os.Getenv(urlVar)})
	if err != nil {
		return err
	}
	ready(s.URL())
	ctx, stop := untilSignal()
	defer stop()
	<-ctx.Done()
	return s.Close()
}

// beMember is one of a cluster of servers.
func beMember() error {
	name := os.Getenv(nameVar)
	host, port, _ := strings.Cut(os.Getenv(urlVar), ":")
	_, routePort, _ := strings.Cut(os.Getenv(placesVar), ":")
	n, _ := strconv.Atoi(port)
	rn, _ := strconv.Atoi(routePort)
	o := &server.Options{
		ServerName: name, Host: host, Port: n, JetStream: true, StoreDir: os.Getenv(dirVar), NoSigs: true, NoLog: true,
		Cluster: server.ClusterOpts{Name: "fleet", Host: host, Port: rn},
		Routes:  server.RoutesFromStr(os.Getenv(routesVar)),
	}
	s, err := server.NewServer(o)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return fmt.Errorf("member %s is not ready", name)
	}
	ready(s.ClientURL())
	select {}
}

// process is a process of the test binary in a role.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	said string // the argument of ready
	over chan struct{}
	err  error // set when over is closed
}

// start starts the test binary in a role and waits until it is ready.
func start(t *testing.T, role string, env ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), over: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), roleVar+"="+role), env...)
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	p.said = strings.TrimSpace(strings.TrimPrefix(line, "ready"))
	go func() {
		defer close(p.over)
		_, _ = lines.WriteTo(os.Stderr)
		p.err = p.cmd.Wait()
	}()
	require.NoError(t, err, "%s is not ready", role)
	return p
}

// kill kills the process with SIGKILL, and waits until it has ended.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.over
}

// signal sends a signal to exactly this process, if it still exists.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// requireEnd waits until the process has ended, and asserts that it succeeded.
func (p *process) requireEnd() {
	p.t.Helper()
	select {
	case <-p.over:
		require.NoError(p.t, p.err)
	case <-time.After(patience):
		require.Fail(p.t, "the process has not ended")
	}
}

// worker starts a worker process.
func worker(t *testing.T, url string, j journal, name string, places int) *process {
	t.Helper()
	return start(t, "worker", urlVar+"="+url, journalVar+"="+string(j), nameVar+"="+name, placesVar+"="+strconv.Itoa(places))
}

// machine is a server process that can be killed and started again, at the same
// address and on the same folder.
type machine struct {
	*process
	t         *testing.T
	dir, addr string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), addr: freeAddress(t)}
	m.boot()
	return m
}

func (m *machine) boot() {
	m.t.Helper()
	m.process = start(m.t, "server", dirVar+"="+m.dir, urlVar+"="+m.addr)
}

func (m *machine) url() string { return "nats://" + m.addr }

// journal is a file in which all workers of a test note which tasks they begin and end.
type journal string

func newJournal(t *testing.T) journal {
	return journal(filepath.Join(t.TempDir(), "journal"))
}

// note appends a line with a single write, so that several processes may do it.
func (j journal) note(words ...any) {
	f, err := os.OpenFile(string(j), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, words...)
		_ = f.Close()
	}
	if err != nil {
		panic(err)
	}
}

// lines returns the words of each line so far.
func (j journal) lines() [][]string {
	data, _ := os.ReadFile(string(j))
	var all [][]string
	for line := range strings.Lines(string(data)) {
		all = append(all, strings.Fields(line))
	}
	return all
}

// begun returns how often each task was begun.
func (j journal) begun() map[int]int {
	counts := map[int]int{}
	for _, words := range j.lines() {
		if words[0] == "begin" {
			n, _ := strconv.Atoi(words[1])
			counts[n]++
		}
	}
	return counts
}

// inFlight returns the tasks that a worker has begun and not ended.
func (j journal) inFlight(name string) map[int]bool {
	open := map[int]bool{}
	for _, words := range j.lines() {
		n, _ := strconv.Atoi(words[1])
		if words[2] != name {
			continue
		}
		if words[0] == "begin" {
			open[n] = true
		} else {
			delete(open, n)
		}
	}
	return open
}

// beganAt reports whether a worker has begun a task.
func (j journal) beganAt(n int, name string) bool {
	for _, words := range j.lines() {
		if words[0] == "begin" && words[1] == strconv.Itoa(n) && words[2] == name {
			return true
		}
	}
	return false
}
