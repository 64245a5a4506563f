// Package export_dormouse_plugin_readiness says when the target is ready: when it accepts
// connections.
package export_dormouse_plugin_readiness

import (
	readiness "wit_component/dormouse_plugin_readiness"
	target "wit_component/dormouse_plugin_target"
	plugin "wit_component/dormouse_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Ready is `readiness.ready`.
func Ready(_ plugin.Service, _ uint32) wit.Result[readiness.ReadinessAnswer, plugin.Failure] {
	answer := readiness.MakeReadinessAnswerReady(wit.None[string]())
	if probe := target.Probe(); probe.IsErr() {
		answer = readiness.MakeReadinessAnswerNotYet(probe.Err())
	}
	return wit.Ok[readiness.ReadinessAnswer, plugin.Failure](answer)
}
