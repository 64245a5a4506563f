//! The addresses of a target, as far as they are known.
//!
//! A lookup asks the system, and may hang for as long as a name server keeps silent. So it runs on a
//! thread of its own, one at a time for each target: no runtime waits for it, all dials wait for the
//! same one, and none that gives up takes it along. Its answer is kept however late it is.
//!
//! ```text
//! age of the last answer   the lookup …      a dial uses
//! up to DNS_TTL            is not needed     the answer
//! up to MAX_STALE          is slow           the old answer; the new one as soon as it is there
//!                          fails             the old answer
//! any                      says: no address  nothing: this is an answer, too
//! older, or none           is slow           the new answer, if it comes within `connect_timeout`
//!                          fails             nothing
//! ```

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::error::{DialError, DialErrorKind};
use super::own::OwnListeners;
use crate::config::Target;

/// How long an answer is used without asking again. Long enough that a crowd of clients asks once,
/// short enough that a server that moved is found by the time it is up.
const DNS_TTL: Duration = Duration::from_secs(3);

/// How long an answer is used where a new one is not to be had.
const MAX_STALE: Duration = Duration::from_secs(600);

/// A lookup that takes longer is slow: an old answer is used meanwhile.
pub(super) const SLOW_LOOKUP: Duration = Duration::from_millis(500);

/// How long a failure is used without asking again. Short: the name of a container is there once the
/// container is.
const FAILED_LOOKUP_TTL: Duration = Duration::from_millis(100);

/// Finds the addresses of a target. [`io::ErrorKind::NotFound`]: the target has none; all other
/// errors: the lookup failed, and an old answer may still hold.
pub(super) type Lookup = dyn Fn(&Target) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// A target and its addresses.
pub(super) struct Resolver {
    target: Target,
    /// The address of a target that is written as one.
    literal: Option<SocketAddr>,
    /// Whether the literal address led to one of our listeners when it was set.
    leads_back: bool,
    own: Arc<OwnListeners>,
    lookup: Arc<Lookup>,
    cache: Arc<Cache>,
}

/// Addresses that should be tried.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Addresses {
    /// In the order in which they should be tried. Never empty.
    pub(super) all: Arc<[SocketAddr]>,
    /// They are old, and a lookup is under way or has failed.
    pub(super) is_stale: bool,
}

#[derive(Default)]
struct Cache {
    state: Mutex<State>,
    lookup_ended: Notify,
}

#[derive(Default)]
struct State {
    answer: Option<Answer>,
    /// How the last lookup failed, and when, if it did.
    failure: Option<(Failure, Instant)>,
    /// When the lookup that is under way began.
    looking_since: Option<Instant>,
    /// The address that worked last.
    preferred: Option<SocketAddr>,
}

/// What a lookup has answered, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) addresses: Arc<[SocketAddr]>,
    pub(super) since: Instant,
}

#[derive(Clone, Debug, PartialEq)]
enum Failure {
    /// The name has no address, or the lookup failed; in the words of the system.
    Unresolved(Arc<str>),
    /// All addresses lead to our own listeners: the first address, and its listener.
    LeadsBack(SocketAddr, SocketAddr),
    /// There is no thread to look it up.
    NoThread(Arc<str>),
    /// We are out of something else, such as descriptors: the number of the system's error.
    Exhausted(i32),
}

/// What is known at one moment.
#[derive(Debug, PartialEq)]
enum View {
    Fresh(Arc<[SocketAddr]>),
    /// The last lookup has just failed. Perhaps there is an old answer.
    Failed(Failure, Option<Answer>),
    /// Has to be looked up.
    Looking {
        /// Since when that is under way. `None`: it must be begun.
        since: Option<Instant>,
        old: Option<Answer>,
        /// The lookup before this one failed.
        has_failed: bool,
    },
}

impl Resolver {
    pub(super) fn new(target: Target, own: Arc<OwnListeners>, lookup: Arc<Lookup>) -> Resolver {
        let literal = target.host.parse::<IpAddr>().ok();
        let literal = literal.map(|address| SocketAddr::new(address, target.port));
        let leads_back = literal.is_some_and(|address| own.reached_by(address).is_some());
        Resolver { target, literal, leads_back, own, lookup, cache: Arc::default() }
    }

    /// The same for another target.
    pub(super) fn with_target(&self, target: Target) -> Resolver {
        Resolver::new(target, Arc::clone(&self.own), Arc::clone(&self.lookup))
    }

    /// The same with other listeners of ours.
    pub(super) fn with_own(&self, own: Arc<OwnListeners>) -> Resolver {
        Resolver::new(self.target.clone(), own, Arc::clone(&self.lookup))
    }

    /// What the config, or a plugin, says of it.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The address of a target that is written as one, unless it leads to our own listeners.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        if self.leads_back { None } else { self.literal }
    }

    /// The addresses, looked up if need be: until `deadline`, and not longer than `patience` if there
    /// is an old answer.
    ///
    /// # Errors
    ///
    /// The name has no address that is known in time, or all of them are our own listeners.
    pub(super) async fn addresses(
        &self,
        deadline: Instant,
        patience: Duration,
    ) -> Result<Addresses, DialError> {
        let patience = patience.min(SLOW_LOOKUP);
        loop {
            // First in line, then the look: so that no end of a lookup is missed.
            let mut ended = pin!(self.cache.lookup_ended.notified());
            ended.as_mut().enable();
            let (since, old) = match self.look()? {
                Look::Found(addresses) => return Ok(addresses),
                Look::Looking { since, old } => (since, old),
            };
            let until = match old {
                Some(_) => deadline.min(since + patience),
                None => deadline,
            };
            if timeout_at(until, ended).await.is_err() {
                let Some(Answer { addresses: all, .. }) = old else { return Err(self.no_answer()) };
                return Ok(Addresses { all, is_stale: true });
            }
        }
    }

    /// What is known, without waiting. Begins a lookup if there has to be one.
    ///
    /// # Errors
    ///
    /// As for [`addresses`](Resolver::addresses).
    pub(super) fn look(&self) -> Result<Look, DialError> {
        if let Some(address) = self.literal {
            // The addresses of this machine may have changed since.
            return match self.own.reached_by(address) {
                Some(listener) => Err(DialError::leads_back(&self.target, address, listener)),
                None => Ok(Look::Found(Addresses { all: [address].into(), is_stale: false })),
            };
        }
        let now = Instant::now();
        let mut state = self.cache.lock();
        let found = |all, is_stale| Ok(Look::Found(Addresses { all, is_stale }));
        match state.view(now) {
            View::Fresh(all) => found(all, false),
            View::Failed(_, Some(old)) => found(old.addresses, true),
            View::Failed(failure, None) => Err(self.error(failure)),
            View::Looking { since, old, has_failed } => {
                if since.is_none() {
                    state.looking_since = Some(now);
                    drop(state);
                    self.begin_lookup();
                }
                match old {
                    Some(old) if has_failed => found(old.addresses, true),
                    old => Ok(Look::Looking { since: since.unwrap_or(now), old }),
                }
            }
        }
    }

    /// Ends when no lookup is under way.
    pub(super) async fn lookup_ended(&self) {
        let mut ended = pin!(self.cache.lookup_ended.notified());
        ended.as_mut().enable();
        if self.cache.lock().looking_since.is_some() {
            ended.await;
        }
    }

    /// Ends when a lookup has answered with other addresses than these.
    pub(super) async fn other_than(&self, old: &[SocketAddr]) -> Arc<[SocketAddr]> {
        loop {
            let mut ended = pin!(self.cache.lookup_ended.notified());
            ended.as_mut().enable();
            if let View::Fresh(new) = self.cache.lock().view(Instant::now())
                && (new.len() != old.len() || new.iter().any(|address| !old.contains(address)))
            {
                return new;
            }
            ended.await;
        }
    }

    /// Has `address`, which has just worked, tried first from here on.
    pub(super) fn prefer(&self, address: SocketAddr) {
        if self.literal.is_some() {
            return;
        }
        let mut state = self.cache.lock();
        state.preferred = Some(address);
        if let Some(answer) = &mut state.answer
            && answer.addresses.first() != Some(&address)
        {
            answer.addresses = in_order(&answer.addresses, Some(address)).into();
        }
    }

    /// The error of a lookup that takes too long.
    pub(super) fn no_answer(&self) -> DialError {
        let error = io::Error::new(io::ErrorKind::TimedOut, "no name server answered in time");
        DialError::unresolved(&self.target, error)
    }

    fn error(&self, failure: Failure) -> DialError {
        let text = |text: Arc<str>| io::Error::other(&*text);
        match failure {
            Failure::Unresolved(why) => DialError::unresolved(&self.target, text(why)),
            Failure::LeadsBack(address, listener) => {
                DialError::leads_back(&self.target, address, listener)
            }
            Failure::Exhausted(errno) => {
                DialError::exhausted(&self.target, io::Error::from_raw_os_error(errno))
            }
            Failure::NoThread(why) => DialError::other(&self.target, text(why)),
        }
    }

    fn begin_lookup(&self) {
        let outcome = Outcome { cache: Arc::clone(&self.cache), result: None };
        let (target, lookup) = (self.target.clone(), Arc::clone(&self.lookup));
        let own = Arc::clone(&self.own);
        let thread = thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            outcome.is(looked_up(lookup(&target), &own));
        });
        // The outcome has been dropped, and has said that the lookup failed; this says why.
        if let Err(error) = thread {
            let why = format!("its name can't be looked up, no thread can be started: {error}");
            self.cache.lock().failure = Some((Failure::NoThread(why.into()), Instant::now()));
        }
    }
}

/// What is known of a target without waiting.
#[derive(Debug)]
pub(super) enum Look {
    Found(Addresses),
    /// A lookup is under way.
    Looking {
        since: Instant,
        old: Option<Answer>,
    },
}

#[cfg(test)]
impl Resolver {
    /// Puts an answer of this age into the place of the last one.
    pub(super) fn overwrite(&self, addresses: Vec<SocketAddr>, age: Duration) {
        let since = Instant::now() - age;
        self.cache.lock().answer = Some(Answer { addresses: addresses.into(), since });
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("target", &self.target).finish_non_exhaustive()
    }
}

impl State {
    fn view(&self, now: Instant) -> View {
        let age = |since: Instant| now.saturating_duration_since(since);
        let answer = self.answer.as_ref();
        if let Some(answer) = answer.filter(|answer| age(answer.since) < DNS_TTL) {
            return View::Fresh(Arc::clone(&answer.addresses));
        }
        let old = answer.filter(|answer| age(answer.since) < MAX_STALE).cloned();
        match &self.failure {
            Some((failure, at)) if self.looking_since.is_none() && age(*at) < FAILED_LOOKUP_TTL => {
                View::Failed(failure.clone(), old)
            }
            failure => {
                View::Looking { since: self.looking_since, old, has_failed: failure.is_some() }
            }
        }
    }

    fn end_lookup(&mut self, result: LookedUp, now: Instant) {
        self.looking_since = None;
        match result {
            LookedUp::Addresses(addresses) => {
                let addresses = in_order(&addresses, self.preferred).into();
                self.answer = Some(Answer { addresses, since: now });
                self.failure = None;
            }
            LookedUp::Nothing(failure) => {
                self.answer = None;
                self.failure = Some((failure, now));
            }
            LookedUp::Unknown(failure) => self.failure = Some((failure, now)),
        }
    }
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a lookup says.
enum LookedUp {
    Addresses(Vec<SocketAddr>),
    /// There is no address.
    Nothing(Failure),
    /// Whether there is one can't be found out.
    Unknown(Failure),
}

fn looked_up(result: io::Result<Vec<SocketAddr>>, own: &OwnListeners) -> LookedUp {
    let unresolved = |why: &str| Failure::Unresolved(why.into());
    match result {
        Ok(all) if all.is_empty() => LookedUp::Nothing(unresolved("it has no address")),
        Ok(mut all) => {
            let first = all[0];
            let listener = own.reached_by(first);
            all.retain(|&address| own.reached_by(address).is_none());
            match listener {
                Some(listener) if all.is_empty() => {
                    LookedUp::Nothing(Failure::LeadsBack(first, listener))
                }
                _ => LookedUp::Addresses(all),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            LookedUp::Nothing(unresolved(&error.to_string()))
        }
        Err(error) => LookedUp::Unknown(match error.raw_os_error() {
            Some(errno) if DialErrorKind::of(&error) == DialErrorKind::Exhausted => {
                Failure::Exhausted(errno)
            }
            Some(_) | None => unresolved(&error.to_string()),
        }),
    }
}

/// Brings the outcome of a lookup into the cache, also if the lookup panics or never begins.
struct Outcome {
    cache: Arc<Cache>,
    result: Option<LookedUp>,
}

impl Outcome {
    fn is(mut self, result: LookedUp) {
        self.result = Some(result);
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        let failed = || LookedUp::Unknown(Failure::Unresolved("the lookup failed".into()));
        let result = self.result.take().unwrap_or_else(failed);
        self.cache.lock().end_lookup(result, Instant::now());
        self.cache.lookup_ended.notify_waiters();
    }
}

/// The order in which addresses should be tried: the one that worked last, and then the families in
/// turns, IPv6 first (RFC 8305, section 4), each in the order of the system.
fn in_order(addresses: &[SocketAddr], preferred: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut ordered: Vec<SocketAddr> = Vec::with_capacity(addresses.len());
    ordered.extend(preferred.filter(|address| addresses.contains(address)));
    let mut v6 = addresses.iter().filter(|address| address.is_ipv6());
    let mut v4 = addresses.iter().filter(|address| address.is_ipv4());
    loop {
        let turn = [v6.next(), v4.next()];
        if turn == [None, None] {
            return ordered;
        }
        for &address in turn.into_iter().flatten() {
            if !ordered.contains(&address) {
                ordered.push(address);
            }
        }
    }
}

/// Asks the system. Blocks for as long as that takes.
pub(super) fn ask_system(target: &Target) -> io::Result<Vec<SocketAddr>> {
    match (target.host.as_str(), target.port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) if says_that_there_is_none(&error.to_string()) => {
            Err(io::Error::new(io::ErrorKind::NotFound, error))
        }
        Err(error) => Err(error),
    }
}

/// Whether an error of getaddrinfo(3) means that a name server knows of no such address. The standard
/// library passes on only its text (of glibc and musl; neither is translated, as we set no locale).
fn says_that_there_is_none(error: &str) -> bool {
    [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ]
    .iter()
    .any(|text| error.contains(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here should fail loudly")]

    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    const OLD: Duration = Duration::from_secs(4);

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn resolver(
        lookup: impl Fn() -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Resolver {
        let target = Target { host: "mc.example".into(), port: 80 };
        Resolver::new(target, Arc::default(), Arc::new(move |_: &Target| lookup()))
    }

    async fn addresses(resolver: &Resolver) -> Result<Addresses, String> {
        let deadline = Instant::now() + PATIENCE;
        resolver.addresses(deadline, PATIENCE).await.map_err(|error| error.to_string())
    }

    fn stale(text: &str) -> Result<Addresses, String> {
        Ok(Addresses { all: [address(text)].into(), is_stale: true })
    }

    fn fresh(text: &str) -> Result<Addresses, String> {
        Ok(Addresses { all: [address(text)].into(), is_stale: false })
    }

    #[tokio::test]
    async fn a_name_is_not_looked_up_for_each_client() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let resolver = resolver(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok(vec![address("10.0.0.1:80")])
        });
        for _ in 0..3 {
            assert_eq!(addresses(&resolver).await, fresh("10.0.0.1:80"));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        resolver.overwrite(vec![address("10.0.0.2:80")], DNS_TTL);
        assert_eq!(addresses(&resolver).await, fresh("10.0.0.1:80"), "the name has moved");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn an_old_answer_is_used_if_the_lookup_fails_and_not_for_ever() {
        let resolver = resolver(|| Err(io::Error::other("temporary failure")));
        resolver.overwrite(vec![address("10.0.0.1:80")], OLD);
        for _ in 0..3 {
            assert_eq!(addresses(&resolver).await, stale("10.0.0.1:80"));
        }
        resolver.overwrite(vec![address("10.0.0.1:80")], MAX_STALE);
        let error = addresses(&resolver).await.unwrap_err();
        assert!(error.contains("can't be resolved: temporary failure"), "{error}");
    }

    #[tokio::test]
    async fn an_old_answer_is_not_used_if_the_name_has_no_address_any_more() {
        for gone in [Ok(Vec::new()), Err(io::ErrorKind::NotFound)] {
            let resolver = resolver(move || gone.clone().map_err(io::Error::from));
            resolver.overwrite(vec![address("10.0.0.1:80")], OLD);
            assert!(addresses(&resolver).await.is_err());
        }
    }

    #[tokio::test]
    async fn an_old_answer_is_used_while_the_lookup_is_slow() {
        let (answer, answers) = mpsc::channel();
        let answers = Mutex::new(answers);
        let resolver = resolver(move || Ok(answers.lock().unwrap().recv().unwrap()));
        resolver.overwrite(vec![address("10.0.0.1:80")], OLD);
        let before = Instant::now();
        assert_eq!(addresses(&resolver).await, stale("10.0.0.1:80"));
        assert!(before.elapsed() >= SLOW_LOOKUP);
        // Once known to be slow it holds up nobody else.
        let again = tokio::time::timeout(Duration::ZERO, addresses(&resolver)).await;
        assert_eq!(again, Ok(stale("10.0.0.1:80")));
        answer.send(vec![address("10.0.0.2:80")]).unwrap();
        resolver.lookup_ended().await;
        assert_eq!(addresses(&resolver).await, fresh("10.0.0.2:80"));
    }

    #[tokio::test]
    async fn a_lookup_that_panics_fails() {
        let resolver = resolver(|| panic!("a lookup that panics in a test"));
        let error = addresses(&resolver).await.unwrap_err();
        assert!(error.contains("can't be resolved: the lookup failed"), "{error}");
    }

    #[test]
    fn a_failure_holds_for_a_moment_and_is_then_looked_up_beside_the_old_answer() {
        let now = Instant::now();
        let old = Answer { addresses: [address("10.0.0.1:80")].into(), since: now - OLD };
        let failure = Failure::Unresolved("no".into());
        let mut state = State {
            answer: Some(old.clone()),
            failure: Some((failure.clone(), now)),
            ..State::default()
        };
        assert_eq!(state.view(now), View::Failed(failure, Some(old.clone())));
        let looking = |since| View::Looking { since, old: Some(old.clone()), has_failed: true };
        assert_eq!(state.view(now + FAILED_LOOKUP_TTL), looking(None));
        state.looking_since = Some(now);
        assert_eq!(state.view(now), looking(Some(now)));
    }

    #[test]
    fn families_take_turns_and_what_worked_last_comes_first() {
        let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "[fd00::1]:80", "[fd00::2]:80"];
        let [a, b, c, d, e] = all.map(address);
        assert_eq!(in_order(&[a, b, c, d, e], None), [d, a, e, b, c]);
        assert_eq!(in_order(&[a, b, c, d, e], Some(b)), [b, d, a, e, c]);
        assert_eq!(in_order(&[b, d, a, e, c], Some(e)), [e, d, b, a, c]);
        assert_eq!(in_order(&[a, a, d], Some(c)), [d, a]);
    }

    #[test]
    fn the_words_of_the_system_for_no_such_name_are_known() {
        let error = |text| format!("failed to lookup address information: {text}");
        assert!(says_that_there_is_none(&error("Name or service not known")));
        assert!(!says_that_there_is_none(&error("Temporary failure in name resolution")));
        // Labels have at most 63 characters, so that nobody has to be asked.
        let target = Target { host: "x".repeat(64), port: 1 };
        assert_eq!(ask_system(&target).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
