package fleet

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kind names one kind of job and says how its inputs, outputs and errors travel.
// Declare it once, as a variable of a package that callers and workers import. It
// is a plain value that may be copied, and any number of goroutines may use it.
type Kind[In, Out any] struct {
	// Name is 1 to 64 letters, digits, - or _. It is part of the names of the
	// kind's streams and subjects.
	Name string

	// Codec turns inputs and outputs into bytes and back. The default is JSON.
	// Callers and workers must use the same codec.
	Codec Codec

	// Errors are the errors of the handler that callers can recognise with
	// errors.Is. They travel as texts, so each needs a text of its own.
	Errors []error

	// Hooks send headers along with the input, such as those of a trace, and tell
	// callers how long their jobs waited and ran.
	Hooks Hooks
}

// Codec turns values into bytes and back. Its methods may be called by several
// goroutines at once.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
	// ContentType names the encoding. It travels with the data. Data of another
	// encoding is refused without a call of Unmarshal.
	ContentType() string
}

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }
func (jsonCodec) ContentType() string                { return "application/json" }

// check returns an error that says what is wrong with the kind, or nil.
func (k Kind[In, Out]) check() error {
	if !isToken(k.Name) {
		return fmt.Errorf("fleet: Kind.Name %q: must be 1 to 64 letters, digits, - or _", k.Name)
	}
	if err := checkErrors(k.Errors); err != nil {
		return fmt.Errorf("fleet: kind %s: %w", k.Name, err)
	}
	if _, err := k.codec().contentType(); err != nil {
		return fmt.Errorf("fleet: kind %s: %w", k.Name, err)
	}
	return nil
}

func checkErrors(all []error) error {
	seen := make(map[string]bool, len(all))
	for i, err := range all {
		if err == nil {
			return fmt.Errorf("Kind.Errors[%d] is nil", i)
		}
		text := textOf(err)
		if text == "" {
			return fmt.Errorf("Kind.Errors[%d] has no text", i)
		}
		if seen[text] {
			return fmt.Errorf("Kind.Errors[%d]: another error has the same text %q", i, text)
		}
		seen[text] = true
	}
	return nil
}

// subjects returns the names of the kind's subjects and streams.
func (k Kind[In, Out]) subjects() subjects { return subjects(k.Name) }

func (k Kind[In, Out]) codec() codec {
	if k.Codec == nil {
		return codec{jsonCodec{}}
	}
	return codec{k.Codec}
}

// codec calls the user's Codec and turns its panics into errors.
type codec struct{ Codec }

func (c codec) marshal(v any) (data []byte, err error) {
	err = protect("Codec.Marshal", func() error {
		data, err = c.Marshal(v)
		return err
	})
	return data, err
}

func (c codec) unmarshal(data []byte, contentType string, v any) error {
	own, err := c.contentType()
	if err != nil {
		return err
	}
	if contentType != own {
		return fmt.Errorf("the data is %q, but the codec reads %q", contentType, own)
	}
	return protect("Codec.Unmarshal", func() error { return c.Unmarshal(data, v) })
}

func (c codec) contentType() (name string, err error) {
	err = protect("Codec.ContentType", func() error {
		name = c.ContentType()
		return nil
	})
	if err == nil && (name == "" || name != headerText(name, 128)) {
		err = fmt.Errorf("Codec.ContentType %q: must be 1 to 128 bytes without control characters and without leading or trailing blanks", name)
	}
	return name, err
}

// protect calls f, which is user code, and turns a panic into an error.
func protect(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panicked: %v", what, r)
		}
	}()
	return f()
}

// textOf returns the text of a user's error. Its Error method may panic.
func textOf(err error) (text string) {
	failed := protect("the error's Error", func() error {
		text = err.Error()
		return nil
	})
	if failed != nil {
		return failed.Error()
	}
	return text
}

// isA is errors.Is for a user's error. Methods of the error may panic.
func isA(err, target error) (is bool) {
	_ = protect("the error's Is", func() error {
		is = errors.Is(err, target)
		return nil
	})
	return is
}

// asA is errors.As for a user's error. Methods of the error may panic.
func asA[E error](err error) (e E, ok bool) {
	_ = protect("the error's As", func() error {
		e, ok = errors.AsType[E](err)
		return nil
	})
	return e, ok
}

// subjects is the name of a kind. Its methods return the names of the kind's streams
// and subjects on the server. Every subject of a job follows from its token, so one
// request finds out where the job is.
type subjects string

func (s subjects) jobs() string    { return "FLEET_" + string(s) + "_JOBS" }
func (s subjects) results() string { return "FLEET_" + string(s) + "_RESULTS" }
func (s subjects) graves() string  { return "FLEET_" + string(s) + "_DEAD" }

func (s subjects) job(token string) string    { return "fleet." + string(s) + ".job." + token }
func (s subjects) result(token string) string { return "fleet." + string(s) + ".res." + token }
func (s subjects) dead(token string) string   { return "fleet." + string(s) + ".dead." + token }
func (s subjects) cancel(token string) string { return "fleet." + string(s) + ".cancel." + token }

// back is the subject of the note that the n-th delivery of a job was handed back.
func (s subjects) back(token, n string) string {
	return "fleet." + string(s) + ".back." + token + "." + n
}

// reply is the subject on which a client waits for the result of a call.
func (s subjects) reply(client, token string) string {
	return "fleet." + string(s) + ".rep." + client + "." + token
}

// clientOf returns the client to which the reply subject of the job with that token
// belongs. The subject comes from outside, so a worker publishes results only on
// subjects that clientOf accepts.
func (s subjects) clientOf(reply, token string) (string, bool) {
	client, ok := strings.CutPrefix(reply, "fleet."+string(s)+".rep.")
	if !ok {
		return "", false
	}
	client, ok = strings.CutSuffix(client, "."+token)
	return client, ok && isToken(client)
}

// workers is the name of the consumer that all workers of a kind share.
const workers = "workers"

// isToken reports whether s can be a part of a subject without change.
func isToken(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// tokenOf returns the token that stands for an id in subjects: the id itself if it is
// a valid token, or else "=" and a hash of it. No valid token begins with "=".
func tokenOf(id string) string {
	if isToken(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "=" + base64.RawURLEncoding.EncodeToString(sum[:16])
}

// checkID returns an error that says what is wrong with an id, or nil. An id travels
// in a header, which loses leading and trailing blanks.
func checkID(id string) error {
	switch {
	case len(id) < 1 || len(id) > 256:
		return fmt.Errorf("fleet: ID of %d bytes: must be 1 to 256 bytes", len(id))
	case !utf8.ValidString(id):
		return fmt.Errorf("fleet: ID %q: must be valid UTF-8", id)
	case strings.ContainsFunc(id, unicode.IsControl):
		return fmt.Errorf("fleet: ID %q: must not have control characters", id)
	case strings.TrimSpace(id) != id:
		return fmt.Errorf("fleet: ID %q: must not have leading or trailing blanks", id)
	}
	return nil
}

// headerText makes text fit into a header: one line of no more than most bytes.
func headerText(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return strings.TrimSpace(cut(strings.TrimSpace(text), most))
}

// cut returns the beginning of text, no more than most bytes, and splits no rune.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
