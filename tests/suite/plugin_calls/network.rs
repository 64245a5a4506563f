//! `allow.connect`, `allow.udp` and `allow.wake_on_lan`.

use std::net::{Ipv4Addr, SocketAddr};

use dormouse::config::Reach;
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;

use super::*;
use crate::support::process::in_time;
use crate::support::reach::code;

/// Cases of the errors of `wasi:sockets`.
const ACCESS_DENIED: u8 = 1;
const INVALID_ARGUMENT: u8 = 3;

/// Any port, chosen by the system.
fn wildcard() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, 0).into()
}

/// A grant for exactly this address.
fn only(address: SocketAddr) -> Reach {
    Reach::Addresses { network: address.ip().into(), ports: address.port()..=address.port() }
}

/// A server that says hello to everybody.
async fn greeter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"hello").await.unwrap();
        }
    });
    address
}

/// A server to which nobody may come.
async fn forbidden() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn nobody_came(listener: TcpListener) {
    let listener = listener.into_std().unwrap();
    let came = listener.accept().map(|(_, from)| from);
    assert_eq!(came.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

/// What a guest whose `start` does this says of it.
async fn told_by(guest: Guest, body: &str, grants: impl FnOnce(&mut Stage)) -> String {
    let mut stage = Stage::new(&guest.lifecycle(body, "(call $done)").build());
    grants(&mut stage);
    match start(&stage.deciders().await).await {
        Ok(()) => "done".to_owned(),
        Err(failure) => failure.message.trim_start_matches("the plugin `p`: ").to_owned(),
    }
}

/// What a guest says that connects to `address`.
async fn connecting(address: SocketAddr, connect: &[Reach]) -> String {
    let guest = Guest::bare().connects(address);
    told_by(guest, "(call $connect)", |stage| stage.plugin().allow.connect = connect.to_vec()).await
}

#[tokio::test]
async fn a_granted_address_can_be_connected_to() {
    let address = greeter().await;
    assert_eq!(connecting(address, &[only(address)]).await, "hello");
    let network = Reach::Addresses { network: "127.0.0.0/8".parse().unwrap(), ports: 1..=65535 };
    assert_eq!(connecting(address, &[network]).await, "hello");
}

#[tokio::test]
async fn without_a_grant_there_is_no_socket_and_one_warning() {
    let listener = forbidden().await;
    let told = Told::listen();
    let denied = connecting(listener.local_addr().unwrap(), &[]).await;
    assert_eq!(denied, code(ACCESS_DENIED));
    insta::assert_snapshot!(told.at(Level::WARN).join("\n"), @r#"the plugin wanted to make a TCP connection and was denied. To allow it, write this under `[plugins.p.allow]`: connect = ["ADDRESS:PORT"] plugin="p" service="s""#);
    nobody_came(listener);
}

#[tokio::test]
async fn a_neighbour_of_a_granted_address_is_denied_and_told_once() {
    let listener = forbidden().await;
    let address = listener.local_addr().unwrap();
    let granted = [
        only(SocketAddr::new(address.ip(), 1)),
        Reach::Addresses { network: "127.0.0.2/32".parse().unwrap(), ports: 1..=65535 },
        Reach::Addresses { network: "::/0".parse().unwrap(), ports: 1..=65535 },
    ];
    let told = Told::listen();
    assert_eq!(connecting(address, &granted).await, code(ACCESS_DENIED));
    let warnings = told.at(Level::WARN);
    let warning = warnings[0].replace(&address.port().to_string(), "[PORT]");
    assert_eq!(warnings.len(), 1);
    insta::assert_snapshot!(warning, @r#"the plugin wanted to connect to 127.0.0.1:[PORT] and was denied. To allow it, write this under `[plugins.p.allow]`: connect = ["127.0.0.1:1", "127.0.0.2:*", "[::]/0:*", "127.0.0.1:[PORT]"] plugin="p" service="s""#);
    nobody_came(listener);
}

#[tokio::test]
async fn ipv4_in_the_form_of_ipv6_leads_nowhere() {
    let listener = forbidden().await;
    let port = listener.local_addr().unwrap().port();
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), port);
    let all_of_ipv6 = Reach::Addresses { network: "::/0".parse().unwrap(), ports: 1..=65535 };
    assert_eq!(connecting(mapped, &[all_of_ipv6]).await, code(INVALID_ARGUMENT));
    nobody_came(listener);
}

#[tokio::test]
async fn the_target_of_the_service_can_be_granted_by_that_word() {
    let address = greeter().await;
    let connecting = async |host: &str, port| {
        let guest = Guest::bare().connects(address);
        let target = |stage: &mut Stage| {
            stage.plugin().allow.connect = vec![Reach::Target];
            stage.service().target.host = host.to_owned();
            stage.service().target.port = port;
        };
        told_by(guest, "(call $connect)", target).await
    };
    assert_eq!(connecting("127.0.0.1", address.port()).await, "hello");
    assert_eq!(connecting("localhost", address.port()).await, "hello");
    assert_eq!(connecting("127.0.0.1", 1).await, code(ACCESS_DENIED));
    assert_eq!(connecting("127.0.0.2", address.port()).await, code(ACCESS_DENIED));
    assert_eq!(connecting("nonesuch.invalid", address.port()).await, code(ACCESS_DENIED));
}

#[tokio::test]
async fn no_grant_lets_a_plugin_choose_its_own_port() {
    let all = Reach::Addresses { network: "0.0.0.0/0".parse().unwrap(), ports: 1..=65535 };
    let binding = async |address: SocketAddr| {
        let guest = Guest::bare().binds_tcp(address);
        let grants = |stage: &mut Stage| stage.plugin().allow.connect = vec![all.clone()];
        told_by(guest, "(call $bind_tcp)", grants).await
    };
    assert_eq!(binding("127.0.0.1:0".parse().unwrap()).await, code(ACCESS_DENIED));
    assert_eq!(binding("0.0.0.0:4000".parse().unwrap()).await, code(ACCESS_DENIED));
    assert_eq!(binding(wildcard()).await, "done");
}

async fn sending(from: SocketAddr, to: SocketAddr, connect: &[Reach], udp: &[Reach]) -> String {
    let guest = Guest::bare().sends("ping", from, to);
    let grants = |stage: &mut Stage| {
        stage.plugin().allow.connect = connect.to_vec();
        stage.plugin().allow.udp = udp.to_vec();
    };
    told_by(guest, "(call $datagram)", grants).await
}

#[tokio::test]
async fn a_datagram_reaches_a_granted_address() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    assert_eq!(sending(wildcard(), address, &[], &[only(address)]).await, "done");
    let mut bytes = [0; 100];
    let length = in_time("a datagram", socket.recv(&mut bytes)).await.unwrap();
    assert_eq!(&bytes[..length], b"ping");
}

#[tokio::test]
async fn datagrams_to_others_and_from_chosen_ports_are_denied() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let other = [only(SocketAddr::new(address.ip(), 1))];
    let denied = code(ACCESS_DENIED);
    assert_eq!(sending(wildcard(), address, &[], &other).await, denied);
    assert_eq!(sending(wildcard(), address, &[only(address)], &[]).await, denied);
    let chosen = "127.0.0.1:0".parse().unwrap();
    assert_eq!(sending(chosen, address, &[], &[only(address)]).await, denied);
    let came = socket.into_std().unwrap().recv(&mut [0; 100]);
    assert_eq!(came.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

const MAC: &str = "00:1b:21:AB:cd:ef";

async fn waking(mac: &str, broadcast: Option<&str>, granted: &[SocketAddr]) -> String {
    let guest = Guest::bare().wakes(mac, broadcast);
    let granted = granted.iter().map(|address| match address {
        SocketAddr::V4(address) => *address,
        SocketAddr::V6(_) => panic!("it is IPv4"),
    });
    told_by(guest, "(call $wake)", |stage| {
        stage.plugin().allow.wake_on_lan = granted.collect();
    })
    .await
}

#[tokio::test]
async fn a_magic_packet_is_six_bytes_of_ones_and_the_address_sixteen_times() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let mac = [0x00, 0x1b, 0x21, 0xab, 0xcd, 0xef];
    let expected = [&[0xff; 6][..], &mac.repeat(16)].concat();
    for wanted in [None, Some("127.0.0.1"), Some(&*address.to_string())] {
        assert_eq!(waking(MAC, wanted, &[address]).await, "done");
        let mut bytes = [0; 200];
        let length = in_time("a packet", socket.recv(&mut bytes)).await.unwrap();
        assert_eq!(bytes[..length], expected);
    }
}

#[tokio::test]
async fn a_magic_packet_may_be_broadcast() {
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let broadcast = SocketAddr::from(([127, 255, 255, 255], port));
    assert_eq!(waking(MAC, None, &[broadcast]).await, "done");
    assert_eq!(in_time("a packet", socket.recv(&mut [0; 200])).await.unwrap(), 102);
}

#[tokio::test]
async fn magic_packets_to_others_are_denied_and_told() {
    let told = Told::listen();
    let granted = ["10.0.0.255:9".parse().unwrap()];
    insta::assert_snapshot!(waking(MAC, Some("127.0.0.1"), &granted).await, @r#"the config does not let this plugin send a magic packet to 127.0.0.1. To allow it, write this under `[plugins.p.allow]`: wake_on_lan = ["10.0.0.255:9", "127.0.0.1"]"#);
    insta::assert_snapshot!(waking(MAC, None, &[]).await, @r#"the config does not let this plugin send a magic packet. To allow it, write this under `[plugins.p.allow]`: wake_on_lan = ["BROADCAST-ADDRESS"]"#);
    assert_eq!(told.at(Level::WARN).len(), 2);
}

#[tokio::test]
async fn what_is_no_hardware_address_is_told_as_that() {
    let granted = ["127.0.0.1:9".parse().unwrap()];
    insta::assert_snapshot!(waking("00:1b:21\u{1b}", None, &granted).await, @r"`00:1b:21\u{1b}` is no hardware address: these are six pairs of hexadecimal digits, as in `aa:bb:cc:dd:ee:ff`");
    insta::assert_snapshot!(waking(MAC, Some("tv"), &granted).await, @"`tv` is no place to send to: write the broadcast address of a network, as in `192.168.1.255` or `192.168.1.255:9`");
}

#[tokio::test]
async fn a_plugin_that_makes_sockets_without_end_ends_with_all_of_them_closed() {
    let guest = starting(&format!(
        "(loop $again (call $make_tcp (i32.const 0) (i32.const {RETURNED})) (br $again))
         (unreachable)"
    ))
    .makes_tcp_sockets();
    let mut stage = Stage::new(&guest.build());
    stage.plugin().allow.connect = vec![Reach::Target];
    let deciders = stage.deciders().await;
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    start(&deciders).await.unwrap_err();
    let before = open();
    for _ in 0..3 {
        let failure = start(&deciders).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(broken(&failure), @"the plugin `p` wanted more than 256 sockets, files and streams at once in `start`. If it needs more, raise `limits.handles` in `[plugins.p]`");
        }
    }
    // Other tests have their own.
    assert!(open() < before + 200, "{before} and then {} are open", open());
}
