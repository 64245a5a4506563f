// Package export_dormouse_plugin_gate judges clients: a client has to knock twice before the target
// is woken for it.
//
// Port scanners connect once and go away. Whoever means it connects again: the second connection
// from one address within `seconds` wakes the target.
//
// The names of packages and functions are those that the generated wit_exports.go calls.
package export_dormouse_plugin_gate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	gate "wit_component/dormouse_plugin_gate"
	log "wit_component/dormouse_plugin_log"
	settings "wit_component/dormouse_plugin_settings"
	state "wit_component/dormouse_plugin_state"
	plugin "wit_component/dormouse_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// ShouldWake is `gate.should-wake`. Each conversation has a fresh instance of the component.
func ShouldWake(_ plugin.Service, client plugin.Client, _ plugin.Phase, _ []byte) wit.Result[gate.Reply, plugin.Failure] {
	verdict, failure := judge(client)
	if failure != nil {
		return wit.Err[gate.Reply](*failure)
	}
	// Nothing is said to the client, and all that it sent is for the target.
	return wit.Ok[gate.Reply, plugin.Failure](gate.Reply{Verdict: verdict})
}

func judge(client plugin.Client) (gate.Verdict, *plugin.Failure) {
	seconds, failure := secondsOf(settings.Get())
	if failure != nil {
		return 0, failure
	}
	address := withoutPort(client.Address)
	slot := slotOf(address)
	now := time.Now().UnixMilli()

	stored := state.Get(slot)
	if stored.IsErr() {
		return 0, unkept(stored.Err())
	}
	if isRecent(stored.Ok(), address, now, seconds) {
		if deleted := state.Delete(slot); deleted.IsErr() {
			return 0, unkept(deleted.Err())
		}
		log.Write(log.LevelInfo, fmt.Sprintf("%s knocked twice: the target is woken", address))
		return gate.VerdictWake, nil
	}
	if set := state.Set(slot, fmt.Appendf(nil, "%s %d", address, now)); set.IsErr() {
		return 0, unkept(set.Err())
	}
	log.Write(log.LevelInfo, fmt.Sprintf("%s knocked: once more within %d s wakes the target", address, seconds))
	return gate.VerdictRefuse, nil
}

// secondsOf reads `settings = { seconds = 10 }`: the longest time between two knocks, from 1 to
// 3600.
func secondsOf(text string) (int64, *plugin.Failure) {
	settings := struct{ Seconds int64 }{Seconds: 10}
	err := json.Unmarshal([]byte(text), &settings)
	if err != nil || settings.Seconds < 1 || settings.Seconds > 3600 {
		return 0, &plugin.Failure{
			Kind:    plugin.MakeFailureKindWrongSettings(),
			Message: "`seconds` in the settings has to be a whole number from 1 to 3600",
		}
	}
	return settings.Seconds, nil
}

// withoutPort is the host of `host:port` or `[host]:port`: each connection of a client has another
// port.
func withoutPort(address string) string {
	return address[:max(strings.LastIndexByte(address, ':'), 0)]
}

// slotOf is the key for the last knock of an address. There are 256, so that strangers can't fill
// the state: two addresses that share one only make each other knock again.
func slotOf(address string) string {
	var number uint8
	for _, letter := range []byte(address) {
		number = number*31 + letter
	}
	return fmt.Sprintf("knock-%d", number)
}

// isRecent says whether the stored `ADDRESS MILLISECONDS` is a knock of this address, not longer
// ago than this.
func isRecent(stored wit.Option[[]byte], address string, now, seconds int64) bool {
	if stored.Tag() == wit.OptionNone {
		return false
	}
	knocker, text, _ := strings.Cut(string(stored.Some()), " ")
	last, err := strconv.ParseInt(text, 10, 64)
	// A clock that was set back makes a knock of the future: that one doesn't count.
	return knocker == address && err == nil && last <= now && now-last <= seconds*1000
}

// unkept is the failure of a gate that can't remember.
func unkept(reason state.StateError) *plugin.Failure {
	why := "the state is full"
	if reason.Tag() == state.StateErrorStorage {
		why = reason.Storage()
	}
	return &plugin.Failure{
		Kind:    plugin.MakeFailureKindTryAgain(wit.None[plugin.Milliseconds]()),
		Message: fmt.Sprintf("the knocks can't be remembered: %s", why),
	}
}
