package fleet

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestAWrongSettingIsAnErrorThatNamesItAndItsValue(t *testing.T) {
	for want, s := range map[string]Settings{
		"Settings.Lease 99ms":    {Lease: 99 * time.Millisecond},
		"Settings.Lease -1s":     {Lease: -time.Second},
		"Settings.Attempts -1":   {Attempts: -1},
		"Settings.MaxJobs -1":    {MaxJobs: -1},
		"Settings.MaxBytes -5":   {MaxBytes: -5},
		"Settings.KeepFor 999ms": {KeepFor: 999 * time.Millisecond},
		"Settings.KeepDead -1s":  {KeepDead: -time.Second},
		"Settings.Replicas 2":    {Replicas: 2},
	} {
		_, err := s.withDefaults()
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, Kind[int, int]{Name: "k"}.Provision(t.Context(), nil, s), want)
	}
}

func TestZeroSettingsAreTheDefaults(t *testing.T) {
	s, err := Settings{}.withDefaults()
	require.NoError(t, err)
	require.Equal(t, Settings{
		Lease: 10 * time.Second, Attempts: 5, MaxJobs: 100_000, MaxBytes: -1,
		KeepFor: time.Hour, KeepDead: 7 * 24 * time.Hour, Replicas: 1,
	}, s)
}

// The wire format, for other languages.
func TestTheStreamsAreAsTheFormatSays(t *testing.T) {
	s, err := Settings{KeepFor: time.Minute, MaxJobs: 7, MaxBytes: 9, Replicas: 3}.withDefaults()
	require.NoError(t, err)
	all := s.streams("k")
	require.Equal(t, jetstream.StreamConfig{
		Name: "FLEET_k_JOBS", Subjects: []string{"fleet.k.job.*"}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
		MaxMsgs: 7, MaxBytes: 9, Duplicates: 2 * time.Minute, AllowMsgTTL: true, Storage: jetstream.FileStorage, Replicas: 3,
	}, all[0])
	require.Equal(t, jetstream.StreamConfig{
		Name: "FLEET_k_RESULTS", Subjects: []string{"fleet.k.res.*", "fleet.k.back.*.*"}, Discard: jetstream.DiscardNew,
		MaxAge: time.Minute, MaxMsgsPerSubject: 1, MaxBytes: 9, Duplicates: time.Minute, Storage: jetstream.FileStorage, Replicas: 3,
	}, all[1])
	require.Equal(t, "FLEET_k_DEAD", all[2].Name)
	require.Equal(t, []string{"fleet.k.dead.*"}, all[2].Subjects)

	c := s.consumer()
	require.Equal(t, "workers", c.Durable)
	require.Equal(t, []int{-1, -1, 16384}, []int{c.MaxDeliver, c.MaxAckPending, c.MaxWaiting})
	require.Empty(t, c.BackOff, "it would take the place of the lease")
	require.Equal(t, map[string]string{"fleet_attempts": "5"}, c.Metadata)
}

func TestAClockIsAheadOnlyIfItMustBe(t *testing.T) {
	before := time.Now()
	after := before.Add(time.Second)
	for theirs, want := range map[time.Time]time.Duration{
		before: 0, after: 0, before.Add(time.Millisecond): 0, {}: 0,
		after.Add(time.Minute): time.Minute, before.Add(-time.Minute): -time.Minute,
	} {
		require.Equal(t, want, aheadOf(theirs, before, after))
	}
}

func TestANilConnectionIsAnError(t *testing.T) {
	k := Kind[int, int]{Name: "k"}
	require.ErrorContains(t, k.Provision(t.Context(), nil, Settings{}), "the connection is nil")
	_, err := NewClient(t.Context(), nil, k)
	require.ErrorContains(t, err, "the connection is nil")
	_, err = k.Stats(t.Context(), nil)
	require.ErrorContains(t, err, "the connection is nil")
	require.ErrorContains(t, k.Requeue(t.Context(), nil, "x"), "the connection is nil")
	for _, err := range k.Dead(t.Context(), nil) {
		require.ErrorContains(t, err, "the connection is nil")
	}
	require.ErrorContains(t, Serve(t.Context(), nil, k, nil), "the pool is nil")
}

func TestAJobThatIsAcknowledgedDoesNotWaitWhileItsStreamStillHasIt(t *testing.T) {
	now := time.Now()
	tallied := func(msgs, first, last uint64, delivered, floor uint64, pending int) Stats {
		c := &jetstream.ConsumerInfo{Delivered: jetstream.SequenceInfo{Stream: delivered}, AckFloor: jetstream.SequenceInfo{Stream: floor}, NumAckPending: pending}
		q := &jetstream.StreamInfo{TimeStamp: now, State: jetstream.StreamState{Msgs: msgs, FirstSeq: first, FirstTime: now.Add(-time.Minute), LastSeq: last}}
		if msgs == 0 {
			q.State.FirstTime = time.Time{}
		}
		return tally(c, q)
	}
	require.Equal(t, Stats{}, tallied(0, 501, 500, 500, 500, 0), "nothing is there")
	require.Equal(t, Stats{Waiting: 7, Taken: 3, Oldest: time.Minute}, tallied(10, 1, 10, 3, 0, 3), "nothing is done")
	require.Equal(t, Stats{Waiting: 2, Taken: 1, Oldest: time.Minute}, tallied(3, 4, 10, 7, 3, 1), "some have been deleted")
	require.Equal(t, Stats{}, tallied(33, 17, 500, 500, 500, 0), "33 are left over")
	require.Equal(t, Stats{Waiting: 2, Oldest: time.Minute}, tallied(35, 17, 502, 500, 500, 0), "33 are left over, and two wait")
	require.Equal(t, Stats{Taken: 1, Oldest: time.Minute}, tallied(34, 17, 501, 501, 500, 1), "33 are left over, and one is taken")
	require.Equal(t, Stats{Taken: 2}, tallied(0, 11, 10, 10, 8, 2), "they were deleted a moment ago")
	require.Equal(t, Stats{}, tallied(1, 5, 5, 6, 6, 0), "one side knows more than the other")
}
