// Package embedded runs the server of a fleet inside the program: NATS with
// JetStream, which stores its data in a folder of this machine. A single server needs
// no other setup. For several servers that replicate each other, and for anything that
// this package has no option for, run nats-server itself. Package fleet works with
// both in the same way.
//
//	server, err := embedded.Start(embedded.Options{Dir: "/var/lib/thumbs", Listen: "127.0.0.1:4222"})
//	if err != nil {
//		return err
//	}
//	defer server.Close()
//	nc, err := server.Connect()
package embedded

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"example.com/dispatch/fleet"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Options of a server. Only Dir is required.
type Options struct {
	// Dir is the folder in which the server stores its data. Start creates it if it
	// does not exist. Only one server at a time may use it.
	Dir string

	// Listen is the address for connections from other processes, host:port. Port 0
	// means any free port. Without an address only Connect reaches the server. Any
	// address but a loopback address requires TLS and Users.
	Listen string

	// TLS configures connections to the address.
	TLS *tls.Config

	// Users are the users that may connect to the address. Without users, anyone who
	// can reach the address may do everything.
	Users []User

	// LazySync lets the server answer before the disk has the stored data. That is
	// several times as fast, but a power cut may lose the jobs of the last two minutes.
	// A kill of the process loses nothing either way.
	LazySync bool

	// MaxDisk limits the bytes that the server stores. At the limit it stores nothing
	// more; see Settings.MaxBytes of package fleet. The default is three quarters of
	// the space that is free when the server starts.
	MaxDisk int64

	// Logger receives the server's log lines. By default there is no log.
	Logger *slog.Logger
}

// User is a user that may connect to the server.
type User struct {
	Name, Password string
	Rights         *fleet.Rights // nil: all rights
}

// Server is a server inside the program. Its methods may be called by several
// goroutines at once.
type Server struct {
	server *server.Server
	secret []nats.Option // the credentials of Connect
	listen bool
	unlock func() error
}

// readyLimit is how long a server may take to start, because it reads its folder.
const readyLimit = time.Minute

// Start starts a server and returns when the server accepts connections, or after a
// minute with an error. An error names the wrong option, says that another server uses
// the folder, or comes from the server.
func Start(o Options) (*Server, error) {
	s := &Server{listen: o.Listen != ""}
	config, err := s.config(o)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded: Options.Dir: %w", err)
	}
	if s.unlock, err = lock(filepath.Join(o.Dir, "lock")); err != nil {
		return nil, fmt.Errorf("embedded: Options.Dir %q: another server uses it: %w", o.Dir, err)
	}
	if s.server, err = server.NewServer(config); err != nil {
		return nil, errors.Join(fmt.Errorf("embedded: %w", err), s.unlock())
	}
	if o.Logger != nil {
		s.server.SetLoggerV2(logger{o.Logger}, o.Logger.Enabled(context.Background(), slog.LevelDebug), false, false)
	}
	s.server.Start()
	if !s.server.ReadyForConnections(readyLimit) || !s.server.JetStreamEnabled() {
		return nil, errors.Join(errors.New("embedded: the server did not start; its log says why (see Options.Logger)"), s.Close())
	}
	return s, nil
}

// config returns the options of nats-server, or an error that says what is wrong with o.
func (s *Server) config(o Options) (*server.Options, error) {
	if o.Dir == "" {
		return nil, errors.New("Options.Dir is empty")
	}
	if o.MaxDisk < 0 {
		return nil, fmt.Errorf("Options.MaxDisk %d: must not be negative", o.MaxDisk)
	}
	c := &server.Options{
		ServerName: "fleet-" + rand.Text(),
		JetStream:  true, StoreDir: o.Dir, SyncAlways: !o.LazySync, JetStreamMaxStore: o.MaxDisk,
		DontListen: true, NoSigs: true, NoLog: o.Logger == nil, NoSystemAccount: true,
	}
	if err := listen(c, o); err != nil {
		return nil, err
	}
	if len(o.Users) == 0 {
		return c, nil
	}
	seen := map[string]bool{}
	for i, u := range o.Users {
		switch {
		case u.Name == "":
			return nil, fmt.Errorf("Options.Users[%d] has no Name", i)
		case u.Password == "":
			return nil, fmt.Errorf("Options.Users[%d] %q has no Password", i, u.Name)
		case seen[u.Name]:
			return nil, fmt.Errorf("Options.Users[%d]: another user has the same name %q", i, u.Name)
		}
		seen[u.Name] = true
		c.Users = append(c.Users, &server.User{Username: u.Name, Password: u.Password, Permissions: permissions(u.Rights)})
	}
	own := &server.User{Username: rand.Text(), Password: rand.Text()}
	c.Users = append(c.Users, own)
	s.secret = []nats.Option{nats.UserInfo(own.Username, own.Password)}
	return c, nil
}

// listen sets the address in c. It returns an error if the address is malformed, or if
// it would not be safe to listen there.
func listen(c *server.Options, o Options) error {
	if o.Listen == "" {
		if o.TLS != nil || len(o.Users) > 0 {
			return errors.New("Options.TLS and Options.Users need Options.Listen, which is empty")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("Options.Listen %q: %w", o.Listen, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("Options.Listen %q: the port must be a number from 0 to 65535", o.Listen)
	}
	ip := net.ParseIP(host)
	if local := host == "localhost" || ip != nil && ip.IsLoopback(); !local && (o.TLS == nil || len(o.Users) == 0) {
		return fmt.Errorf("Options.Listen %q is not a loopback address: it needs Options.TLS and Options.Users", o.Listen)
	}
	c.DontListen, c.Host, c.Port = false, host, int(n)
	if host == "" {
		c.Host = "0.0.0.0"
	}
	if n == 0 {
		c.Port = server.RANDOM_PORT
	}
	if o.TLS != nil {
		c.TLSConfig, c.TLS, c.TLSTimeout = o.TLS, true, 5
	}
	return nil
}

func permissions(r *fleet.Rights) *server.Permissions {
	if r == nil {
		return nil
	}
	p := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: r.Publish},
		Subscribe: &server.SubjectPermission{Allow: r.Subscribe},
	}
	// An empty list would allow everything.
	if len(r.Publish) == 0 {
		p.Publish = &server.SubjectPermission{Deny: []string{">"}}
	}
	if len(r.Subscribe) == 0 {
		p.Subscribe = &server.SubjectPermission{Deny: []string{">"}}
	}
	if r.Responses {
		p.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
	}
	return p
}

// Connect returns a connection to the server, without a socket and with all rights. The
// caller must close it. It ends with the server and cannot reconnect.
func (s *Server) Connect(opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{nats.InProcessServer(s.server)}, s.secret...)
	nc, err := nats.Connect("", append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	return nc, nil
}

// URL returns the address for nats.Connect in other processes, or "" without
// Options.Listen.
func (s *Server) URL() string {
	if !s.listen {
		return ""
	}
	return s.server.ClientURL()
}

// Close shuts the server down and waits until it has ended. Its data stays in the
// folder. Close may be called more than once.
func (s *Server) Close() error {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	return s.unlock()
}

// logger passes the server's log lines to a slog.Logger.
type logger struct{ *slog.Logger }

func (l logger) line(level slog.Level, format string, v []any) {
	if ctx := context.Background(); l.Enabled(ctx, level) {
		l.Log(ctx, level, fmt.Sprintf(format, v...))
	}
}

func (l logger) Noticef(format string, v ...any) { l.line(slog.LevelInfo, format, v) }
func (l logger) Warnf(format string, v ...any)   { l.line(slog.LevelWarn, format, v) }
func (l logger) Errorf(format string, v ...any)  { l.line(slog.LevelError, format, v) }
func (l logger) Fatalf(format string, v ...any)  { l.line(slog.LevelError, format, v) }
func (l logger) Debugf(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
func (l logger) Tracef(format string, v ...any)  { l.line(slog.LevelDebug, format, v) }
