//! The relay, over both paths, between real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails here should fail loudly"
)]

use std::io;
use std::process::Command;

use dormouse::config::Relay;
use dormouse::service::relay::{End, Mode, Outcome, Paths, Side, Usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::relay::{
    Flood, Noise, PATIENCE, Wire, await_failure, fill, pair, pass, read_to_end, send_in_pieces,
    shrink, until,
};

const SIDES: [Side; 2] = [Side::Client, Side::Target];

/// Makes two tests of each story: one that only copies, one that splices what is large.
macro_rules! on_both_paths {
    ($(async fn $name:ident($mode:ident) $body:block)*) => {$(
        mod $name {
            use super::*;

            async fn story($mode: Mode) $body

            #[tokio::test]
            async fn by_copying() {
                story(Mode::Copy).await;
            }

            #[tokio::test]
            async fn by_splicing() {
                story(Mode::Adaptive).await;
            }
        }
    )*};
}

on_both_paths! {
    async fn bytes_arrive_unchanged_both_ways_at_once(mode) {
        let mut wire = Wire::new(mode).await;
        let mut noise = Noise::new(1);
        let (up, down) = (noise.bytes(9_000_001), noise.bytes(7_000_003));
        {
            let (client_in, client_out) = wire.client.split();
            let (target_in, target_out) = wire.target.split();
            let (mut up_sizes, mut down_sizes) = (Noise::new(2), Noise::new(3));
            let (_, _, at_target, at_client) = tokio::join!(
                send_in_pieces(client_out, &up, || up_sizes.below(300_000)),
                send_in_pieces(target_out, &down, || down_sizes.below(300_000)),
                read_to_end(target_in),
                read_to_end(client_in),
            );
            assert!(at_target == up, "the target got other bytes");
            assert!(at_client == down, "the client got other bytes");
        }
        assert_finished(wire.outcome().await, up.len(), down.len());
    }

    async fn large_and_small_pieces_take_turns(mode) {
        let mut wire = Wire::new(mode).await;
        let mut noise = Noise::new(4);
        for size in [1, 100_000, 3, 1_500_000, 5_000, 1, 40_000, 800_000, 2, 4_096] {
            let bytes = noise.bytes(size);
            pass(&mut wire.client, &mut wire.target, &bytes).await;
            pass(&mut wire.target, &mut wire.client, &bytes).await;
        }
    }

    async fn a_writer_of_single_bytes_is_heard(mode) {
        let mut wire = Wire::new(mode).await;
        wire.client.set_nodelay(true).expect("set");
        let bytes = Noise::new(5).bytes(3_000);
        let (_, arrived) = tokio::join!(
            send_in_pieces(&mut wire.client, &bytes, || 1),
            read_to_end(&mut wire.target),
        );
        assert!(arrived == bytes, "other bytes arrived");
    }

    async fn a_slow_reader_gets_everything(mode) {
        let mut wire = Wire::new(mode).await;
        shrink(&wire.target);
        let bytes = Noise::new(6).bytes(4_000_000);
        let reading = async {
            let mut arrived = Vec::new();
            let mut piece = vec![0; 10_000];
            loop {
                match wire.target.read(&mut piece).await.expect("no error") {
                    0 => return arrived,
                    count => arrived.extend_from_slice(&piece[..count]),
                }
                tokio::task::yield_now().await;
            }
        };
        let (_, arrived) = tokio::join!(
            send_in_pieces(&mut wire.client, &bytes, || 1_000_000),
            async { timeout(PATIENCE, reading).await.expect("an end") },
        );
        assert!(arrived == bytes, "other bytes arrived");
        wire.target.shutdown().await.expect("ended");
        assert_finished(wire.outcome().await, bytes.len(), 0);
        assert_eq!(held(&wire.paths), Usage::default());
    }

    async fn a_client_that_ends_first_gets_the_whole_answer(mode) {
        ends_first(mode, Side::Client).await;
    }

    async fn a_target_that_ends_first_gets_the_whole_question(mode) {
        ends_first(mode, Side::Target).await;
    }

    async fn what_was_sent_before_an_end_is_delivered_before_it(mode) {
        for side in SIDES {
            let mut wire = Wire::new(mode).await;
            let bytes = Noise::new(7).bytes(5_000_000);
            let (from, to) = wire.ends(side);
            shrink(to);
            let (_, arrived) = tokio::join!(
                send_in_pieces(from, &bytes, || usize::MAX),
                read_to_end(to),
            );
            assert!(arrived == bytes, "other bytes arrived");
        }
    }

    async fn early_bytes_reach_the_target_first(mode) {
        let early = Noise::new(8).bytes(200_000);
        let late = Noise::new(9).bytes(200_000);
        let paths = Paths::new(mode, Relay::default().memory);
        let mut wire = Wire::with(&paths, &early).await;
        let (_, arrived) = tokio::join!(
            send_in_pieces(&mut wire.client, &late, || 70_000),
            read_to_end(&mut wire.target),
        );
        assert!(arrived == [early, late].concat(), "other bytes arrived");
        wire.target.shutdown().await.expect("ended");
        assert_finished(wire.outcome().await, 400_000, 0);
    }

    async fn early_bytes_and_an_early_end_are_both_passed_on(mode) {
        let paths = Paths::new(mode, Relay::default().memory);
        let (mut client, mut inside) = pair().await;
        let (target_inside, mut target) = pair().await;
        client.write_all(b"question").await.expect("written");
        client.shutdown().await.expect("ended");
        let mut early = Vec::new();
        inside.read_to_end(&mut early).await.expect("read");

        let relay = dormouse::service::relay::relay(inside, target_inside, early, &paths);
        let relay = tokio::spawn(relay);
        assert_eq!(read_to_end(&mut target).await, b"question");
        target.write_all(b"answer").await.expect("written");
        target.shutdown().await.expect("ended");
        assert_eq!(read_to_end(&mut client).await, b"answer");
        assert_finished(relay.await.expect("no panic"), 8, 6);
    }

    async fn both_may_end_at_once_without_a_byte(mode) {
        let mut wire = Wire::new(mode).await;
        wire.client.shutdown().await.expect("ended");
        wire.target.shutdown().await.expect("ended");
        assert_eq!(read_to_end(&mut wire.client).await, b"");
        assert_eq!(read_to_end(&mut wire.target).await, b"");
        assert_finished(wire.outcome().await, 0, 0);
    }

    async fn a_reset_before_any_byte_is_passed_on(mode) {
        for side in SIDES {
            let wire = Wire::new(mode).await;
            let (left, relay) = wire.reset(side);
            assert_reset(left, relay, side).await;
        }
    }

    async fn a_reset_between_bytes_is_passed_on(mode) {
        for side in SIDES {
            let mut wire = Wire::new(mode).await;
            let (from, to) = wire.ends(side);
            pass(from, to, &Noise::new(10).bytes(500_000)).await;
            let (left, relay) = wire.reset(side);
            assert_reset(left, relay, side).await;
        }
    }

    async fn a_reset_by_a_writer_that_nobody_reads_is_passed_on(mode) {
        for side in SIDES {
            let mut wire = Wire::new(mode).await;
            assert!(fill(wire.ends(side).0).await > 0);
            let (left, relay) = wire.reset(side);
            assert_reset(left, relay, side).await;
        }
    }

    async fn a_reset_by_a_reader_that_never_read_is_passed_on(mode) {
        for side in SIDES {
            let mut wire = Wire::new(mode).await;
            assert!(fill(wire.ends(side).1).await > 0);
            let (left, relay) = wire.reset(side);
            assert_reset(left, relay, side).await;
        }
    }

    async fn a_reset_by_a_side_that_had_ended_is_passed_on(mode) {
        for side in SIDES {
            let mut wire = Wire::new(mode).await;
            let (from, to) = wire.ends(side);
            from.write_all(b"that is all").await.expect("written");
            from.shutdown().await.expect("ended");
            assert_eq!(read_to_end(to).await, b"that is all");
            let (left, relay) = wire.reset(side);
            assert_reset_by(relay, side).await;
            // It has read to the end before, so that only a write tells it.
            until("a write fails", || left.try_write(b"more").is_err()).await;
        }
    }

    async fn a_reset_after_the_other_side_had_ended_is_passed_on(mode) {
        for side in SIDES {
            let mut wire = Wire::new(mode).await;
            let (from, to) = wire.ends(side);
            to.write_all(b"that is all").await.expect("written");
            to.shutdown().await.expect("ended");
            assert_eq!(read_to_end(from).await, b"that is all");
            let (left, relay) = wire.reset(side);
            assert_reset(left, relay, side).await;
        }
    }

    async fn sides_that_never_read_are_held_to_the_limit(mode) {
        let limit = 4 << 20;
        let paths = Paths::new(mode, limit);
        let mut wires = Vec::new();
        for _ in 0..40 {
            let mut wire = Wire::with(&paths, b"").await;
            shrink(&wire.client);
            shrink(&wire.target);
            wires.push(tokio::spawn(async move {
                fill(&mut wire.client).await;
                fill(&mut wire.target).await;
                wire
            }));
        }
        let mut full = Vec::new();
        for wire in wires {
            full.push(wire.await.expect("no panic"));
        }
        let usage = paths.usage();
        let bytes = usage.buffer_bytes + ((usage.pipes + usage.spare_pipes) << 20);
        let least = 40 * 2 * 2048 + (256 << 10);
        assert!(bytes > 0, "nothing was held, so nothing was tested");
        assert!(bytes <= limit + least, "{usage:?}");

        for wire in full {
            wire.relay.abort();
            let _ = wire.relay.await;
        }
        assert_eq!(held(&paths), Usage::default());
    }

    async fn idle_connections_own_no_buffer_and_no_pipe(mode) {
        let paths = Paths::new(mode, Relay::default().memory);
        let mut wires = Vec::new();
        let bytes = Noise::new(11).bytes(300_000);
        for _ in 0..200 {
            let mut wire = Wire::with(&paths, b"early").await;
            let mut early = [0; 5];
            wire.target.read_exact(&mut early).await.expect("read");
            pass(&mut wire.client, &mut wire.target, &bytes).await;
            pass(&mut wire.target, &mut wire.client, &bytes).await;
            wires.push(wire);
        }
        until("everything was given back", || held(&paths) == Usage::default()).await;
    }

    async fn without_memory_bytes_arrive_all_the_same(mode) {
        let paths = Paths::new(mode, 0);
        let mut wire = Wire::with(&paths, b"").await;
        let bytes = Noise::new(12).bytes(2_000_000);
        let (_, arrived) = tokio::join!(
            send_in_pieces(&mut wire.client, &bytes, || usize::MAX),
            read_to_end(&mut wire.target),
        );
        assert!(arrived == bytes, "other bytes arrived");
        assert_eq!(paths.usage(), Usage::default());
    }

    async fn a_flood_one_way_leaves_the_other_way_its_turn(mode) {
        let mut wire = Wire::new(mode).await;
        let _flood = Flood::new(&wire.client, &wire.target).await;
        for _ in 0..50 {
            pass(&mut wire.target, &mut wire.client, b"answer").await;
        }
    }

    async fn a_flood_leaves_other_connections_their_turn(mode) {
        let paths = Paths::new(mode, Relay::default().memory);
        let flooded = Wire::with(&paths, b"").await;
        let _flood = Flood::new(&flooded.client, &flooded.target).await;
        let mut wire = Wire::with(&paths, b"").await;
        for _ in 0..50 {
            pass(&mut wire.client, &mut wire.target, b"question").await;
            pass(&mut wire.target, &mut wire.client, b"answer").await;
        }
    }

    async fn a_relay_that_is_dropped_closes_both_sides_and_gives_everything_back(mode) {
        let mut wire = Wire::new(mode).await;
        fill(&mut wire.client).await;
        assert_ne!(held(&wire.paths), Usage::default());
        wire.relay.abort();
        assert!(wire.relay.await.expect_err("aborted").is_cancelled());
        assert_eq!(held(&wire.paths), Usage::default());
        assert_ne!(await_failure(&mut wire.client).await, io::ErrorKind::TimedOut);
        await_failure(&mut wire.target).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_large_takes_a_pipe_if_the_mode_says_so() {
    for (mode, pipes) in [(Mode::Copy, 0), (Mode::Adaptive, 1)] {
        let mut wire = Wire::new(mode).await;
        let bytes = Noise::new(13).bytes(4_000_000);
        pass(&mut wire.client, &mut wire.target, &bytes).await;
        until("the pipe was given back", || wire.paths.usage().pipes == 0).await;
        assert_eq!(wire.paths.usage().spare_pipes, pipes, "{mode:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn small_messages_take_no_pipe() {
    let mut wire = Wire::new(Mode::Adaptive).await;
    for _ in 0..100 {
        pass(&mut wire.client, &mut wire.target, &[1; 4000]).await;
        pass(&mut wire.target, &mut wire.client, &[2; 4000]).await;
    }
    assert_eq!(wire.paths.usage(), Usage::default());
}

/// Runs in a process of its own, for the sake of the others' descriptors.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn without_descriptors_bytes_are_copied() {
    use rustix::process::{Resource, getrlimit, setrlimit};

    const CHILD: &str = "DORMOUSE_TEST_WITHOUT_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let status = Command::new(std::env::current_exe().expect("this test's own file"))
            .args(["--exact", "relay::without_descriptors_bytes_are_copied"])
            .env(CHILD, "1")
            .status()
            .expect("started");
        assert!(status.success(), "see above");
        return;
    }
    let mut wire = Wire::new(Mode::Adaptive).await;
    let bytes = Noise::new(14).bytes(4_000_000);
    let free = std::fs::File::open("/dev/null").expect("opened");
    let lowest = std::os::fd::AsRawFd::as_raw_fd(&free);
    drop(free);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(lowest as u64);
    setrlimit(Resource::Nofile, limit).expect("set");
    pass(&mut wire.client, &mut wire.target, &bytes).await;
    assert_eq!(wire.paths.usage().spare_pipes, 0);
}

/// What is in use, leaving out what is only kept for later.
fn held(paths: &Paths) -> Usage {
    Usage { spare_pipes: 0, ..paths.usage() }
}

async fn ends_first(mode: Mode, side: Side) {
    let mut wire = Wire::new(mode).await;
    let mut noise = Noise::new(15);
    let (question, answer) = (noise.bytes(600_000), noise.bytes(900_000));
    let (first, second) = wire.ends(side);
    let (_, arrived) =
        tokio::join!(send_in_pieces(&mut *first, &question, || 50_000), read_to_end(&mut *second));
    assert!(arrived == question, "other bytes arrived");
    let (_, arrived) = tokio::join!(send_in_pieces(second, &answer, || 50_000), read_to_end(first));
    assert!(arrived == answer, "other bytes arrived");
    let (to_target, to_client) = match side {
        Side::Client => (question.len(), answer.len()),
        Side::Target => (answer.len(), question.len()),
    };
    assert_finished(wire.outcome().await, to_target, to_client);
}

fn assert_finished(outcome: Outcome, to_target: usize, to_client: usize) {
    assert!(matches!(outcome.end, End::Finished), "{outcome:?}");
    assert_eq!(outcome.to_target, to_target as u64);
    assert_eq!(outcome.to_client, to_client as u64);
}

/// Expects that the relay ends by a reset, and that the side that is left sees one.
async fn assert_reset(mut left: TcpStream, relay: JoinHandle<Outcome>, by: Side) {
    assert_reset_by(relay, by).await;
    assert_eq!(await_failure(&mut left).await, io::ErrorKind::ConnectionReset);
}

async fn assert_reset_by(relay: JoinHandle<Outcome>, by: Side) {
    let outcome = timeout(PATIENCE, relay).await.expect("an end").expect("no panic");
    assert!(matches!(outcome.end, End::Reset(side) if side == by), "{outcome:?}");
}
