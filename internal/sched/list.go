package sched

// list is a doubly linked list whose links live inside its elements: a push allocates
// nothing, and an element can leave from the middle at once. An element has a link for
// each list that it may be in at the same time; a Group has three.
type list[T any] struct{ head, tail *link[T] }

// link is the place of an element in at most one list. The zero link is in none. A link
// does not know its list: the caller that removes it must know (see openList).
type link[T any] struct {
	prev, next *link[T]
	elem       *T // nil while the element is in no list
}

func (k *link[T]) listed() bool { return k.elem != nil }

func (l *list[T]) empty() bool { return l.head == nil }

// single reports whether the list has exactly one element.
func (l *list[T]) single() bool { return l.head != nil && l.head == l.tail }

// push puts elem at the end. It does nothing if k is in a list already, so that an
// element that asks for a place twice keeps the first (Group.list asks at each change).
func (l *list[T]) push(k *link[T], elem *T) {
	if k.listed() {
		return
	}
	k.elem, k.prev = elem, l.tail
	if l.tail != nil {
		l.tail.next = k
	} else {
		l.head = k
	}
	l.tail = k
}

// remove takes k out. It does nothing if k is in no list: an end and a cancel may both
// reach the same element.
func (l *list[T]) remove(k *link[T]) {
	if !k.listed() {
		return
	}
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		l.head = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		l.tail = k.prev
	}
	// A zero link can be pushed again, and keeps no other element alive.
	*k = link[T]{}
}

// all ranges over the elements in order. The loop may remove the current element, and
// push it again, but not the one behind it, where the iteration goes on.
func (l *list[T]) all(yield func(*T) bool) {
	for k := l.head; k != nil; {
		next := k.next
		if !yield(k.elem) {
			return
		}
		k = next
	}
}
