package bench

import (
	"time"

	"github.com/panjf2000/ants/v2"
)

const antsModule = "github.com/panjf2000/ants/v2"

// antsRelease is the timeout for ReleaseTimeout, which stops an ants pool and waits for
// its workers.
const antsRelease = time.Minute

var antsPeer = withStarter(peer{name: "ants", module: antsModule}, func(c config) (starter, func()) {
	p := must(ants.NewPool(c.workers))
	submit := func(task func()) { check(p.Submit(task)) }
	return closures(submit, c.job), func() { check(p.ReleaseTimeout(antsRelease)) }
})

// The generic pool of ants takes a value instead of a closure. It returns no results
// either: the value carries a channel for them.
var antsGenericPeer = withStarter(peer{name: "ants-generic", module: antsModule}, func(c config) (starter, func()) {
	run := c.job
	p := must(ants.NewPoolWithFuncGeneric(c.workers, func(t task) { t.run(run) }))
	return values(func(t task) { check(p.Invoke(t)) }), func() { check(p.ReleaseTimeout(antsRelease)) }
})
