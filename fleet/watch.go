package fleet

import (
	"time"

	"github.com/nats-io/nats.go"
)

// watch is the client's goroutine. It publishes jobs again that the server has not
// answered, and looks in the store for results that have not arrived. When the server
// is back it does both for all postings. It ends when the client is closed and no
// posting is left to follow.
func (d *desk) watch(status chan nats.Status) {
	defer close(d.over)
	defer d.nc.RemoveStatusListener(status)
	defer func() { _ = d.answers.Unsubscribe() }()
	ticks := time.NewTicker(sweepsEvery)
	defer ticks.Stop()
	quit := d.quit
	for {
		select {
		case s := <-status:
			if s == nats.CLOSED {
				d.fail(nats.ErrConnectionClosed)
			} else {
				d.sweep(true)
			}
		case <-ticks.C:
			if d.nc.IsClosed() { // the event may not have fitted into the status channel
				d.fail(nats.ErrConnectionClosed)
			}
			d.sweep(false)
		case <-quit:
			quit = nil
		}
		if quit == nil && d.empty() {
			return
		}
	}
}

func (d *desk) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.postings) == 0
}

// sweep publishes jobs again and looks for results: those that are due, or all of
// them if the server is back.
func (d *desk) sweep(back bool) {
	now := time.Now()
	var again, look []*posting
	d.mu.Lock()
	for key, p := range d.postings {
		if !p.left.IsZero() && now.Sub(p.left) > longestLeave {
			delete(d.postings, key)
			continue
		}
		if !p.stored && p.left.IsZero() && (back || !now.Before(p.due)) {
			p.due = now.Add(min(firstTry<<min(p.tries, 10), longestTry))
			p.tries++
			again = append(again, p)
		}
		if p.waits && p.left.IsZero() && (back || !now.Before(p.look)) {
			if back {
				p.look = now.Add(afterReturn)
			} else {
				p.lookAfter = laterLooks
				p.look = now.Add(p.lookAfter)
			}
			look = append(look, p)
		}
	}
	d.mu.Unlock()
	if !d.nc.IsConnected() {
		return // when the connection is back, watch calls sweep again
	}
	for _, p := range again {
		if err := d.publish(p); err != nil {
			d.finish(p.key, reply{err: err})
		}
	}
	for _, p := range look {
		d.request(aboutResult, p.key, "$JS.API.STREAM.MSG.GET."+d.names.results(), lastRequest(d.names.result(p.token)))
	}
}
