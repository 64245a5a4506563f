// A plugin of Dormouse: a client has to knock twice before the target is woken for it.
//
// Port scanners connect once and go away. Whoever means it connects again: the second connection
// from one address within `seconds` wakes the target. The target is ready when it accepts
// connections.

// Each interface that the world in `wit/` imports is a module.
import log from "dormouse:plugin/log@0.1.0";
import settings from "dormouse:plugin/settings@0.1.0";
import state from "dormouse:plugin/state@0.1.0";
import target from "dormouse:plugin/target@0.1.0";

// Judges clients. Each conversation with one has a fresh instance of the component.
export const gate = {
  shouldWake(_service, client, _phase, _data) {
    const seconds = secondsOf(settings.get());
    const address = withoutPort(client.address);
    const slot = slotOf(address);
    const now = Date.now();

    const waited = now - timeOf(remembering(() => state.get(slot)), address);
    // A clock that was set back makes a knock of the future: that one doesn't count.
    const isSecond = waited >= 0 && waited <= seconds * 1000;
    if (isSecond) {
      remembering(() => state.delete(slot));
      log.write("info", `${address} knocked twice: the target is woken`);
    } else {
      remembering(() => state.set(slot, bytesOf(`${address} ${now}`)));
      log.write("info", `${address} knocked: once more within ${seconds} s wakes the target`);
    }
    // Nothing is said to the client, and all that it sent is for the target.
    return { send: new Uint8Array(), consumed: 0, verdict: isSecond ? "wake" : "refuse" };
  },
};

// Says when the target is ready.
export const readiness = {
  ready(_service, _attempt) {
    try {
      target.probe();
    } catch (error) {
      // The error of the function's `result`: here, a text.
      return { tag: "not-yet", val: error.payload };
    }
    return { tag: "ready", val: null };
  },
};

/** `settings = { seconds = 10 }`: the longest time between two knocks, from 1 to 3600. */
function secondsOf(text) {
  const { seconds = 10 } = JSON.parse(text);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 3600) {
    // What is thrown is the error of the function's `result`: here, a failure.
    throw {
      kind: { tag: "wrong-settings" },
      message: "`seconds` in the settings has to be a whole number from 1 to 3600",
    };
  }
  return seconds;
}

/** The host of `host:port` or `[host]:port`: each connection of a client has another port. */
function withoutPort(address) {
  return address.slice(0, address.lastIndexOf(":"));
}

/**
 * The key for the last knock of an address. There are 256, so that strangers can't fill the state:
 * two addresses that share one only make each other knock again.
 */
function slotOf(address) {
  return `knock-${bytesOf(address).reduce((sum, byte) => (sum * 31 + byte) % 256, 0)}`;
}

/** When `address` knocked, if the stored `ADDRESS MILLISECONDS` is a knock of that address, or NaN. */
function timeOf(knock, address) {
  const [knocker, milliseconds] = String.fromCharCode(...(knock ?? [])).split(" ");
  return knocker === address ? Number.parseInt(milliseconds, 10) : Number.NaN;
}

/** The bytes of a text of ASCII, as addresses are. */
function bytesOf(text) {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Does something with the state; an error becomes the failure of a gate that can't remember. */
function remembering(use) {
  try {
    return use();
  } catch ({ payload }) {
    const why = payload.tag === "storage" ? payload.val : "the state is full";
    throw {
      kind: { tag: "try-again", val: null },
      message: `the knocks can't be remembered: ${why}`,
    };
  }
}
