package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
)

// sweep has the server drop jobs that are acknowledged and are still there. The
// servers of a cluster leave them behind when a leader dies: who acknowledges is
// another group of them than who keeps the jobs, and what the first agrees on while
// the second has no leader may be forgotten for good. Such a job is never begun
// again, but it would count, and its id would stay taken.
//
// c is what the server has just said of the consumer. A job is left behind if it is
// the first of its stream and acknowledged at two readings in a row: the server
// drops one a moment after its acknowledgment.
func (s *server) sweep(ctx context.Context, c *jetstream.ConsumerInfo) {
	if c.Config.Replicas < 2 {
		return
	}
	first, err := ask(ctx, s.nc, "$JS.API.STREAM.INFO."+s.names.jobs(), "", parseFirst)
	if err != nil {
		return
	}
	done := c.AckFloor.Stream // with all before it
	left := first > 0 && first <= done
	s.mu.Lock()
	stays := left && first == s.left
	if left && s.left == 0 {
		s.doubt = true // the next reading is soon
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

// parseFirst reads from a stream's description which of its messages is the first,
// or would be.
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
