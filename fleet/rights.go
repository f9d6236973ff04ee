package fleet

// Rights are what a user of the server needs to be one side of a kind, and no
// more: the names of an operator's permissions. Join the lists where one user
// serves several kinds; the inboxes then differ, and Inbox of any will do if
// Subscribe has all of them.
type Rights struct {
	Publish   []string // subjects to which it may publish
	Subscribe []string // subjects to which it may subscribe
	Responses bool     // whether it may answer what it is asked (allow_responses)
	Inbox     string   // what it connects with: nats.CustomInboxPrefix(Inbox)
}

// CallerRights returns the rights of those who make jobs: NewClient and all
// methods of [Client]. They allow neither to take jobs nor to change the streams.
// Callers of one kind trust each other: each may cancel what another has sent.
func (k Kind[In, Out]) CallerRights() Rights {
	s := k.subjects()
	inbox := "_INBOX_FLEET_" + k.Name + "_CALLER"
	return Rights{
		Publish: []string{
			s.job("*"), s.cancel("*"), s.result("*"), // a canceled job's result is its caller's
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

// WorkerRights returns the rights of those who take jobs: [Serve]. They allow
// neither to make jobs nor to read the results of others.
func (k Kind[In, Out]) WorkerRights() Rights {
	s := k.subjects()
	inbox := "_INBOX_FLEET_" + k.Name + "_WORKER"
	consumer := s.jobs() + "." + workers
	return Rights{
		Publish: []string{
			s.result("*"), s.back("*", "*"), s.dead("*"), s.reply("*", "*"),
			"$JS.API.CONSUMER.INFO." + consumer,
			"$JS.API.CONSUMER.MSG.NEXT." + consumer,
			"$JS.API.STREAM.INFO." + s.results(), // tells that there is a result, not which
			"$JS.API.STREAM.INFO." + s.jobs(),    // to drop what is done, see sweep
			"$JS.API.STREAM.PURGE." + s.jobs(),   // who may take and acknowledge all jobs can do no more by it
			"$JS.ACK." + consumer + ".>",
			"$JS.ACK.*.*." + consumer + ".>",
		},
		Subscribe: []string{inbox + ".>", s.cancel("*")},
		Inbox:     inbox,
	}
}
