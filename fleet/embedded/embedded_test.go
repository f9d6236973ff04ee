package embedded_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/dispatch"
	"example.com/dispatch/fleet"
	"example.com/dispatch/fleet/embedded"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

func TestAWrongOptionIsAnErrorThatNamesIt(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	user := []embedded.User{{Name: "a", Password: "b"}}
	for want, o := range map[string]embedded.Options{
		"Options.Dir is empty":                      {},
		"Options.Dir: ":                             {Dir: filepath.Join(file, "x")},
		"Options.MaxDisk -1":                        {Dir: dir, MaxDisk: -1},
		`Options.Listen "here"`:                     {Dir: dir, Listen: "here"},
		`Options.Listen ":x": the`:                  {Dir: dir, Listen: ":x"},
		`Options.Listen ":0" is`:                    {Dir: dir, Listen: ":0"},
		`"0.0.0.0:0" is not a loopback address`:     {Dir: dir, Listen: "0.0.0.0:0", Users: user},
		`"example.org:1" is not a loopback address`: {Dir: dir, Listen: "example.org:1", TLS: &tls.Config{}},
		"Options.Listen, which is":                  {Dir: dir, Users: user},
		"Options.Users[0] has no N":                 {Dir: dir, Listen: "127.0.0.1:0", Users: []embedded.User{{Password: "b"}}},
		`Users[0] "a" has no Pass`:                  {Dir: dir, Listen: "127.0.0.1:0", Users: []embedded.User{{Name: "a"}}},
		`another user has the same name "a"`:        {Dir: dir, Listen: "127.0.0.1:0", Users: append(user, user...)},
	} {
		s, err := embedded.Start(o)
		require.ErrorContains(t, err, want)
		require.Nil(t, s)
	}
}

func TestWithoutListenThereIsNoSocket(t *testing.T) {
	s, err := embedded.Start(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.Empty(t, s.URL())
	nc, err := s.Connect(nats.Name("inside"))
	require.NoError(t, err)
	require.Equal(t, "inside", nc.Opts.Name)
	require.NoError(t, nc.FlushTimeout(patience))
	nc.Close()
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
}

func TestOneServerAtATimeUsesAFolder(t *testing.T) {
	dir := t.TempDir()
	s, err := embedded.Start(embedded.Options{Dir: dir})
	require.NoError(t, err)
	_, err = embedded.Start(embedded.Options{Dir: dir})
	require.ErrorContains(t, err, "another server uses it")
	require.NoError(t, s.Close())
	s, err = embedded.Start(embedded.Options{Dir: dir})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestUsersComeInWithTheirPasswordsAndOverTLS(t *testing.T) {
	config, pool := certificate(t)
	s, err := embedded.Start(embedded.Options{
		Dir: t.TempDir(), Listen: "0.0.0.0:0", LazySync: true, TLS: config, Users: []embedded.User{{Name: "ann", Password: "secret"}},
	})
	require.NoError(t, err)
	defer s.Close()
	inside, err := s.Connect()
	require.NoError(t, err, "inside the program there is no need of either")
	defer inside.Close()
	provision(t, inside, fleet.Settings{})
	serve(t, inside, newJournal(t).handler("w"))

	at, err := url.Parse(s.URL())
	require.NoError(t, err)
	address := "tls://127.0.0.1:" + at.Port()
	trust := nats.Secure(&tls.Config{RootCAs: pool})
	_, err = nats.Connect(address, trust, nats.UserInfo("ann", "wrong"))
	require.ErrorIs(t, err, nats.ErrAuthorization)
	_, err = nats.Connect(address, trust)
	require.ErrorIs(t, err, nats.ErrAuthorization)
	nc, err := nats.Connect(address, trust, nats.UserInfo("ann", "secret"))
	require.NoError(t, err)
	defer nc.Close()
	out, err := client(t, nc).Call(limited(t), task{N: 1})
	require.NoError(t, err)
	require.Equal(t, "1 by w", out)
}

// certificate makes a certificate for this machine, and a pool of roots that trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// lines collects the log of a server.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

func TestTheServersLinesGoToTheLogger(t *testing.T) {
	var log lines
	s, err := embedded.Start(embedded.Options{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Contains(t, log.text(), "Starting JetStream")
}

// One program is caller, server and worker.
func TestOneProcessMayBeAllOfTheFleet(t *testing.T) {
	s, err := embedded.Start(embedded.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer s.Close()
	nc, err := s.Connect()
	require.NoError(t, err)
	defer nc.Close()
	double := fleet.Kind[int, int]{Name: "double"}
	require.NoError(t, double.Provision(limited(t), nc, fleet.Settings{}))
	p := dispatch.Must(dispatch.New(func(_ context.Context, n int) (int, error) { return 2 * n, nil }))
	defer p.Close()
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- fleet.Serve(ctx, nc, double, p) }()
	c, err := fleet.NewClient(limited(t), nc, double)
	require.NoError(t, err)
	defer c.Close()
	out, err := c.Call(limited(t), 21)
	require.NoError(t, err)
	require.Equal(t, 42, out)
	stop()
	require.NoError(t, <-over)
}
