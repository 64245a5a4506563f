//! Readiness: the target is ready when it accepts connections.

use dormouse::decide::{CallContext, Readiness};
use tokio::net::TcpListener;

use super::stage;

#[tokio::test]
async fn the_target_is_ready_when_it_accepts_connections_and_not_before() {
    let mut stage = stage(10).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    stage.service().target.host = address.ip().to_string();
    stage.service().target.port = address.port();
    let deciders = stage.deciders().await;
    let judge = deciders.readiness.as_ref().expect("it judges readiness");

    assert_eq!(judge.ready(1, CallContext::detached()).await, Ok(Readiness::Ready(None)));

    drop(listener);
    let answer = judge.ready(u32::MAX, CallContext::detached()).await;
    let Ok(Readiness::NotYet(why)) = answer else { panic!("nobody listens there: {answer:?}") };
    // What the host said reaches the log as it was.
    let expected = format!("connecting to {address} failed: Connection refused");
    assert!(why.starts_with(&expected), "{why}");
}
