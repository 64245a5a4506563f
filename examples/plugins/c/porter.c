// A plugin of Dormouse: a client has to knock twice before the target is woken for it.
//
// Port scanners connect once and go away. Whoever means it connects again: the second connection
// from one address within `seconds` wakes the target. The target is ready when it accepts
// connections.
//
// Memory: the host hands over strings and lists that this code frees, and frees what this code
// returns. Dormouse drops the instance after each decision, so that a leak would cost little; the
// calls of `..._free` are here because a plugin of yours may keep an instance busy for longer.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bindings/plugin.h"

// The longest text here: an IPv6 address with its scope, and some words.
enum { TEXT = 256 };

// The failure of a decision. Decisions return `true` for success and `false` for a failure.
static bool fail(dormouse_plugin_types_failure_t *failure, uint8_t kind, const char *message) {
  memset(failure, 0, sizeof *failure);
  failure->kind.tag = kind; // `try-again` comes without a time of its own: Dormouse's back-off
  plugin_string_dup(&failure->message, message);
  return false;
}

// The failure of a gate that can't remember.
static bool fail_unkept(dormouse_plugin_types_failure_t *failure,
                        dormouse_plugin_state_state_error_t *error) {
  const char *why = "the state is full";
  int length = (int)strlen(why);
  if (error->tag == DORMOUSE_PLUGIN_STATE_STATE_ERROR_STORAGE) {
    why = (const char *)error->val.storage.ptr; // no NUL at its end
    length = (int)error->val.storage.len;
  }
  char message[TEXT];
  snprintf(message, sizeof message, "the knocks can't be remembered: %.*s", length, why);
  dormouse_plugin_state_state_error_free(error);
  return fail(failure, DORMOUSE_PLUGIN_TYPES_FAILURE_KIND_TRY_AGAIN, message);
}

// Writes a line into Dormouse's log.
static void tell(const char *text) {
  plugin_string_t message;
  plugin_string_set(&message, text);
  dormouse_plugin_log_write(DORMOUSE_PLUGIN_LOG_LEVEL_INFO, &message);
}

// `settings = { seconds = 10 }`: the longest time between two knocks, from 1 to 3600. 0 if it is
// something else.
//
// The host writes the settings without spaces, and a quote within a text as \", so that the key is
// found without a JSON library. Settings with tables in them need one.
static uint64_t seconds_of(const char *json) {
  const char *key = "\"seconds\":";
  const char *found = strstr(json, key);
  if (found == NULL) {
    return 10;
  }
  const char *digits = found + strlen(key);
  char *end;
  errno = 0;
  uint64_t seconds = strtoull(digits, &end, 10);
  bool is_number = errno == 0 && *digits != '-' && end != digits && strchr(",}", *end) != NULL;
  return is_number && seconds >= 1 && seconds <= 3600 ? seconds : 0;
}

// The settings' `seconds`, as above.
static uint64_t seconds_from_settings(void) {
  plugin_string_t settings;
  dormouse_plugin_settings_get(&settings);
  char *json = strndup((const char *)settings.ptr, settings.len);
  uint64_t seconds = json == NULL ? 0 : seconds_of(json);
  free(json);
  plugin_string_free(&settings);
  return seconds;
}

// Copies the host of `host:port` or `[host]:port`: each connection of a client has another port.
static void without_port(const plugin_string_t *address, char host[TEXT]) {
  snprintf(host, TEXT, "%.*s", (int)address->len, (const char *)address->ptr);
  char *port = strrchr(host, ':');
  if (port != NULL) {
    *port = '\0';
  }
}

// The key for the last knock of an address. There are 256, so that strangers can't fill the state:
// two addresses that share one only make each other knock again.
static void slot_of(const char *address, char slot[TEXT]) {
  uint8_t number = 0;
  for (; *address != '\0'; address++) {
    number = (uint8_t)(number * 31 + (uint8_t)*address);
  }
  snprintf(slot, TEXT, "knock-%u", number);
}

// Milliseconds since 1970. Not the monotonic clock: what is stored outlasts restarts.
static uint64_t milliseconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

// Whether the stored `ADDRESS MILLISECONDS` is a knock of this address, not longer ago than this.
static bool is_recent(const plugin_list_u8_t *knock, const char *address, uint64_t now,
                      uint64_t seconds) {
  char text[TEXT];
  snprintf(text, sizeof text, "%.*s", (int)knock->len, (const char *)knock->ptr);
  char *space = strchr(text, ' ');
  if (space == NULL) {
    return false;
  }
  *space = '\0';
  uint64_t last = strtoull(space + 1, NULL, 10);
  // A clock that was set back makes a knock of the future: that one doesn't count.
  return strcmp(text, address) == 0 && last <= now && now - last <= seconds * 1000;
}

// `gate.should-wake`
bool exports_dormouse_plugin_gate_should_wake(exports_dormouse_plugin_gate_service_t *service,
                                              exports_dormouse_plugin_gate_client_t *client,
                                              exports_dormouse_plugin_gate_phase_t phase,
                                              plugin_list_u8_t *data,
                                              exports_dormouse_plugin_gate_reply_t *reply,
                                              exports_dormouse_plugin_gate_failure_t *failure) {
  (void)phase;
  char address[TEXT], slot[TEXT], text[2 * TEXT];
  without_port(&client->address, address);
  exports_dormouse_plugin_gate_service_free(service);
  exports_dormouse_plugin_gate_client_free(client);
  plugin_list_u8_free(data);

  uint64_t seconds = seconds_from_settings();
  if (seconds == 0) {
    return fail(failure, DORMOUSE_PLUGIN_TYPES_FAILURE_KIND_WRONG_SETTINGS,
                "`seconds` in the settings has to be a whole number from 1 to 3600");
  }

  plugin_string_t key;
  slot_of(address, slot);
  plugin_string_set(&key, slot);
  plugin_option_list_u8_t last;
  dormouse_plugin_state_state_error_t error;
  if (!dormouse_plugin_state_get(&key, &last, &error)) {
    return fail_unkept(failure, &error);
  }
  uint64_t now = milliseconds_now();
  bool is_second = last.is_some && is_recent(&last.val, address, now, seconds);
  plugin_option_list_u8_free(&last);

  if (is_second) {
    if (!dormouse_plugin_state_delete(&key, &error)) {
      return fail_unkept(failure, &error);
    }
    snprintf(text, sizeof text, "%s knocked twice: the target is woken", address);
  } else {
    snprintf(text, sizeof text, "%s %" PRIu64, address, now);
    plugin_list_u8_t knock = {.ptr = (uint8_t *)text, .len = strlen(text)};
    if (!dormouse_plugin_state_set(&key, &knock, &error)) {
      return fail_unkept(failure, &error);
    }
    snprintf(text, sizeof text, "%s knocked: once more within %" PRIu64 " s wakes the target",
             address, seconds);
  }
  tell(text);

  // Nothing is said to the client, and all that it sent is for the target.
  *reply = (exports_dormouse_plugin_gate_reply_t){
      .verdict = is_second ? EXPORTS_DORMOUSE_PLUGIN_GATE_VERDICT_WAKE
                           : EXPORTS_DORMOUSE_PLUGIN_GATE_VERDICT_REFUSE,
  };
  return true;
}

// `readiness.ready`
bool exports_dormouse_plugin_readiness_ready(
    exports_dormouse_plugin_readiness_service_t *service, uint32_t attempt,
    exports_dormouse_plugin_readiness_readiness_answer_t *answer,
    exports_dormouse_plugin_readiness_failure_t *failure) {
  (void)attempt;
  (void)failure;
  exports_dormouse_plugin_readiness_service_free(service);

  plugin_string_t why;
  if (dormouse_plugin_target_probe(&why)) {
    answer->tag = EXPORTS_DORMOUSE_PLUGIN_READINESS_READINESS_ANSWER_READY;
    answer->val.ready.is_some = false; // at the address that the config has
  } else {
    answer->tag = EXPORTS_DORMOUSE_PLUGIN_READINESS_READINESS_ANSWER_NOT_YET;
    answer->val.not_yet = why; // the host frees it
  }
  return true;
}
