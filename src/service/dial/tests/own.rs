//! No target leads back to a listener of this process.

use super::*;

#[tokio::test]
async fn rule_19_a_target_that_is_our_own_listener_is_not_connected_to() {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    for host in ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1"] {
        let target = Target { host: host.into(), port: address.port() };
        let dialer = Dialer::new(target.clone(), PATIENCE, None)
            .with_own_listeners(Arc::new(OwnListeners::new([address])));
        for error in [dialer.dial().await.unwrap_err(), dialer.probe().await.unwrap_err()] {
            assert_eq!(error.kind(), DialErrorKind::Itself, "{host}");
            assert!(!error.blames_target());
            let message = error.to_string();
            let expected = format!(
                "the target `{target}` leads back to Dormouse's own listener `{address}`; correct \
                 `target`, or the address that its plugin reports"
            );
            assert_eq!(message, expected);
        }
    }
}

#[tokio::test]
async fn rule_19_an_address_that_a_plugin_reports_is_checked_as_well() {
    let (ours, target) = (listener().await, listener().await);
    let own = OwnListeners::new([ours.local_addr().unwrap()]);
    let dialer = Dialer::new(target_of(&target), PATIENCE, None).with_own_listeners(Arc::new(own));
    dialer.dial().await.expect("another port is not ours");
    dialer.set(Some(target_of(&ours)));
    assert_eq!(dialer.dial().await.unwrap_err().kind(), DialErrorKind::Itself);
    dialer.set(None);
    dialer.dial().await.expect("the target again");
}

#[tokio::test]
async fn rule_19_of_a_name_only_the_addresses_of_others_are_used() {
    let (ours, target) = (listener().await, listener().await);
    let (to_us, to_target) = (ours.local_addr().unwrap(), target.local_addr().unwrap());
    let own = || OwnListeners::new([to_us]);
    let dialer = named_beside(own(), PATIENCE, move || Ok(vec![to_us, to_target]));
    let stream = dialer.dial().await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), to_target);

    let dialer = named_beside(own(), PATIENCE, move || Ok(vec![to_us]));
    let error = dialer.dial().await.unwrap_err();
    assert_eq!(error.kind(), DialErrorKind::Itself);
    let start = format!("the target `mc.example:25565` ({to_us}) leads back to Dormouse's own");
    assert!(error.to_string().starts_with(&start), "{error}");
}
