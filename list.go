package dispatch

// list is a doubly linked list whose links live inside its elements, so that
// pushing allocates nothing and an element leaves from the middle at once.
type list[T any] struct{ head, tail *link[T] }

// link is an element's place in at most one list. The zero link is in none.
type link[T any] struct {
	prev, next *link[T]
	elem       *T // nil while the element is in no list
}

func (l *list[T]) push(k *link[T], elem *T) {
	k.elem, k.prev = elem, l.tail
	if l.tail != nil {
		l.tail.next = k
	} else {
		l.head = k
	}
	l.tail = k
}

// insert puts elem before at, or at the end if at is nil.
func (l *list[T]) insert(k *link[T], elem *T, at *link[T]) {
	if at == nil {
		l.push(k, elem)
		return
	}
	k.elem, k.prev, k.next = elem, at.prev, at
	if at.prev != nil {
		at.prev.next = k
	} else {
		l.head = k
	}
	at.prev = k
}

// remove takes k out; it does nothing if k is in no list.
func (l *list[T]) remove(k *link[T]) {
	if k.elem == nil {
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
	*k = link[T]{}
}

// take moves all elements of other to the end.
func (l *list[T]) take(other *list[T]) {
	switch {
	case other.head == nil:
		return
	case l.tail == nil:
		*l = *other
	default:
		l.tail.next, other.head.prev = other.head, l.tail
		l.tail = other.tail
	}
	*other = list[T]{}
}

func (l *list[T]) empty() bool { return l.head == nil }

// all ranges over the elements in order; the loop may remove the one it is at.
func (l *list[T]) all(yield func(*T) bool) {
	for k := l.head; k != nil; {
		next := k.next
		if !yield(k.elem) {
			return
		}
		k = next
	}
}
