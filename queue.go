package dispatch

// queue is the single jobs of a pool: those that workers have, and after them
// those that wait, in submit order. One list for both, so that a job is not moved
// when its turn comes. Guarded by the ledger's mutex, with ledger.queued, which
// counts those that wait.
type queue[In, Out any] struct {
	jobs  list[job[In, Out]]
	first *link[job[In, Out]] // of those that wait; nil if none does
}

// push has j wait.
func (q *queue[In, Out]) push(j *job[In, Out]) {
	q.jobs.push(&j.place, j)
	if q.first == nil {
		q.first = &j.place
	}
}

// take has all of the other list wait, and empties it.
func (q *queue[In, Out]) take(other *list[job[In, Out]]) {
	if q.first == nil {
		q.first = other.head
	}
	q.jobs.take(other)
}

// remove takes j out.
func (q *queue[In, Out]) remove(j *job[In, Out]) {
	if q.first == &j.place {
		q.first = j.place.next
	}
	q.jobs.remove(&j.place)
}

// start makes j one of those that workers have. It may have waited, or be new.
func (q *queue[In, Out]) start(j *job[In, Out]) {
	if q.first == &j.place {
		q.first = j.place.next
		return
	}
	q.jobs.remove(&j.place)
	q.jobs.insert(&j.place, j, q.first)
}
