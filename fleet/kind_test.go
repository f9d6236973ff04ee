package fleet

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAWrongKindIsAnErrorThatNamesWhatIsWrong(t *testing.T) {
	long := strings.Repeat("x", 65)
	for name, row := range map[string]struct {
		kind Kind[int, int]
		want string
	}{
		"no name":          {Kind[int, int]{}, `Kind.Name ""`},
		"a dot":            {Kind[int, int]{Name: "a.b"}, `Kind.Name "a.b"`},
		"a wildcard":       {Kind[int, int]{Name: "*"}, `Kind.Name "*"`},
		"a blank":          {Kind[int, int]{Name: "a b"}, `Kind.Name "a b"`},
		"a letter of many": {Kind[int, int]{Name: "ä"}, `Kind.Name "ä"`},
		"too long":         {Kind[int, int]{Name: long}, long},
		"a nil error":      {Kind[int, int]{Name: "a", Errors: []error{errors.New("x"), nil}}, "Kind.Errors[1] is nil"},
		"an empty error":   {Kind[int, int]{Name: "a", Errors: []error{errors.New("")}}, "Kind.Errors[0] has no text"},
		"two alike":        {Kind[int, int]{Name: "a", Errors: []error{errors.New("x"), errors.New("x")}}, `text "x"`},
		"a codec without a type": {
			Kind[int, int]{Name: "a", Codec: oddCodec{}}, `Codec.ContentType ""`},
		"a codec that panics": {
			Kind[int, int]{Name: "a", Codec: oddCodec{panics: true}}, "Codec.ContentType panicked: no"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, row.kind.check(), row.want) })
	}
	require.NoError(t, Kind[int, int]{Name: "Az-09_", Errors: []error{errors.New("a"), errors.New("b")}}.check())
	require.NoError(t, Kind[int, int]{Name: long[:64]}.check())
}

// oddCodec is a codec that misbehaves.
type oddCodec struct {
	panics bool
	name   string
}

func (c oddCodec) Marshal(any) ([]byte, error) { panic("no") }
func (c oddCodec) Unmarshal([]byte, any) error { panic("no") }
func (c oddCodec) ContentType() string {
	if c.panics {
		panic("no")
	}
	return c.name
}

func TestAPanicOfACodecIsAnError(t *testing.T) {
	c := codec{oddCodec{name: "odd"}}
	_, err := c.marshal(1)
	require.EqualError(t, err, "Codec.Marshal panicked: no")
	var v int
	require.EqualError(t, c.unmarshal(nil, "odd", &v), "Codec.Unmarshal panicked: no")
}

func TestDataOfAnotherCodecIsRefusedUnread(t *testing.T) {
	var v int
	require.ErrorContains(t, codec{oddCodec{name: "odd"}}.unmarshal([]byte("1"), "application/json", &v), `the data is "application/json", but the codec reads "odd"`)
	require.NoError(t, codec{jsonCodec{}}.unmarshal([]byte("1"), "application/json", &v))
	require.Equal(t, 1, v)
}

func TestAnIDIsItsTokenWhereItCanBe(t *testing.T) {
	for _, id := range []string{"a", "order-17", "A_b-9", strings.Repeat("x", 64)} {
		require.Equal(t, id, tokenOf(id))
	}
	seen := map[string]string{}
	for _, id := range []string{"order 17", "a.b", "*", ">", "ä", "=x", strings.Repeat("x", 65), "order/17", "=" + strings.Repeat("x", 22)} {
		token := tokenOf(id)
		require.Len(t, token, 23, id)
		require.Equal(t, "=", token[:1])
		require.True(t, isToken(token[1:]), token)
		require.Empty(t, seen[token], "%q and %q", id, seen[token])
		seen[token] = id
	}
}

func TestWrongIDsAreNamed(t *testing.T) {
	for id, want := range map[string]string{
		"":                       "ID of 0 bytes",
		strings.Repeat("x", 257): "ID of 257 bytes",
		"a\nb":                   "must not have control characters",
		"a\x7fb":                 "must not have control characters",
		" a":                     "must not have leading or trailing blanks",
		"a ":                     "must not have leading or trailing blanks",
		"a\xff":                  "must be valid UTF-8",
	} {
		require.ErrorContains(t, checkID(id), want)
	}
	for _, id := range []string{"a", "a b", "ä.*>", strings.Repeat("x", 256)} {
		require.NoError(t, checkID(id))
	}
}

// A job names the subject on which a worker publishes its result. A job must not be able
// to make the worker publish dead letters or requests to the server.
func TestAReplySubjectOfAnythingElseIsRefused(t *testing.T) {
	s := subjects("k")
	client, ok := s.clientOf("fleet.k.rep.C1.t1", "t1")
	require.True(t, ok)
	require.Equal(t, "C1", client)
	for _, reply := range []string{
		"", "fleet.k.rep.C1.t2", "fleet.k.rep.t1", "fleet.k.rep..t1", "fleet.k.dead.t1", "fleet.other.rep.C1.t1", "$JS.API.STREAM.DELETE.x",
		"fleet.k.rep.C1.x.t1", "fleet.k.rep.*.t1", "fleet.k.rep.>.t1", "fleet.k.rep.C1.t1 ", "fleet.k.job.C1.t1",
	} {
		_, ok := s.clientOf(reply, "t1")
		require.False(t, ok, reply)
	}
}

func TestHeaderTextIsOneLineWithinItsLimit(t *testing.T) {
	require.Equal(t, "a b  c", headerText(" a\nb\r\nc\t", 100))
	require.Equal(t, "ab", headerText("abä", 3), "no half of a rune")
	require.Equal(t, "a", headerText("a  b", 3))
}

func FuzzToken(f *testing.F) {
	for _, id := range []string{"a", "order 17", "", "=", "ä"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		token := tokenOf(id)
		if isToken(id) {
			require.Equal(t, id, token)
		} else {
			require.True(t, token[0] == '=' && isToken(token[1:]), token)
		}
		client, ok := subjects("k").clientOf(subjects("k").reply("C", token), token)
		require.True(t, ok)
		require.Equal(t, "C", client)
	})
}
