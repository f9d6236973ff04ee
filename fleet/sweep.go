package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// sweep has the server drop jobs that are acknowledged but still in their stream. A
// cluster can leave such jobs behind when a leader dies: one group of servers agrees on
// acknowledgments (the consumer's), another on the jobs (the stream's). An
// acknowledgment that the first group agrees on while the second has no leader may never
// reach the second. Such a job is never started again, but it would count towards the
// limits, and its id would stay taken.
//
// c is the server's latest description of the consumer. A job is left behind if it is
// the first of its stream and acknowledged at two readings in a row. At one reading it
// may be a job that the server is about to drop, a moment after its acknowledgment.
func (s *server) sweep(ctx context.Context, c *jetstream.ConsumerInfo) {
	if c.Config.Replicas < 2 {
		return
	}
	first, err := ask(ctx, s.nc, "$JS.API.STREAM.INFO."+s.names.jobs(), "", parseFirst)
	if err != nil {
		return
	}
	done := c.AckFloor.Stream // this job and all before it are acknowledged
	left := first > 0 && first <= done
	s.mu.Lock()
	stays := left && first == s.left
	if left && s.left == 0 {
		s.doubt = true // read again soon
	}
	s.left = 0
	if left {
		s.left = first
	}
	s.mu.Unlock()
	if stays {
		_ = command(ctx, s.nc, "$JS.API.STREAM.PURGE."+s.names.jobs(), `{"seq":`+strconv.FormatUint(done+1, 10)+`}`)
	}
}

// parseFirst reads from a stream's description the sequence of its first message. For
// an empty stream that is the sequence after the last.
func parseFirst(data []byte) (uint64, error) {
	var info struct {
		Error *codedError `json:"error"`
		State struct {
			First uint64 `json:"first_seq"`
		} `json:"state"`
	}
	if err := json.Unmarshal(data, &info); err != nil {
		return 0, fmt.Errorf("malformed answer of the server: %w", err)
	}
	if info.Error != nil {
		return 0, info.Error
	}
	return info.State.First, nil
}
