package fleet

// Rights are the permissions that a user of the server needs for one side of a kind,
// and no more. If one user works with several kinds, join the lists. The kinds'
// inboxes differ; connect with the Inbox of any of them, with the Subscribe lists of
// all of them allowed.
type Rights struct {
	Publish   []string // subjects to which the user may publish
	Subscribe []string // subjects to which the user may subscribe
	Responses bool     // whether the user may reply to requests that it receives (allow_responses)
	Inbox     string   // the user must connect with nats.CustomInboxPrefix(Inbox)
}

// CallerRights returns the rights of callers: those that NewClient and all methods of
// [Client] need. They do not allow a user to take jobs or to change the streams.
// Callers of one kind must trust each other: each may cancel the others' sent jobs.
func (k Kind[In, Out]) CallerRights() Rights {
	s := k.subjects()
	inbox := "_INBOX_FLEET_" + k.Name + "_CALLER"
	return Rights{
		Publish: []string{
			s.job("*"), s.cancel("*"), s.result("*"), // Cancel stores the job's result
			"$JS.API.STREAM.INFO." + s.jobs(),
			"$JS.API.STREAM.INFO." + s.results(),
			"$JS.API.STREAM.MSG.GET." + s.jobs(),
			"$JS.API.STREAM.MSG.GET." + s.results(),
			"$JS.API.STREAM.MSG.DELETE." + s.jobs(),
		},
		Subscribe: []string{inbox + ".>", s.reply("*", "*"), s.result("*")},
		Responses: true,
		Inbox:     inbox,
	}
}

// WorkerRights returns the rights of workers: those that [Serve] needs. They do not
// allow a user to submit jobs or to read the results of others.
func (k Kind[In, Out]) WorkerRights() Rights {
	s := k.subjects()
	inbox := "_INBOX_FLEET_" + k.Name + "_WORKER"
	consumer := s.jobs() + "." + workers
	return Rights{
		Publish: []string{
			s.result("*"), s.back("*", "*"), s.dead("*"), s.reply("*", "*"),
			"$JS.API.CONSUMER.INFO." + consumer,
			"$JS.API.CONSUMER.MSG.NEXT." + consumer,
			"$JS.API.STREAM.INFO." + s.results(), // shows whether a result exists, not its content
			"$JS.API.STREAM.INFO." + s.jobs(),    // to find jobs that are done but left behind, see sweep
			"$JS.API.STREAM.PURGE." + s.jobs(),   // to drop them; no new power: a worker may take and acknowledge all jobs anyway
			"$JS.ACK." + consumer + ".>",
			"$JS.ACK.*.*." + consumer + ".>",
		},
		Subscribe: []string{inbox + ".>", s.cancel("*")},
		Inbox:     inbox,
	}
}
