//! `adaptd health`: asks `/readyz` of a service on this machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

/// Where to ask.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The address that the service listens on
    #[arg(long, value_name = "ADDR", env = "ADAPTD_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// Succeeds where the service is ready.
///
/// # Errors
/// What it answered instead, or that it did not.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let url = format!("http://{}/readyz", reachable(arguments.listen));
    let config =
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(2))).build();
    let response = config.new_agent().get(&url).call().with_context(|| url.clone())?;
    if response.status() != 200 {
        bail!("{url}: {}", response.status());
    }
    println!("ready");
    Ok(())
}

/// A service that listens on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_on_every_address_is_asked_on_loopback() {
        let asked = |listen: &str| reachable(listen.parse().expect("an address")).to_string();
        assert_eq!(asked("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(asked("[::]:80"), "[::1]:80");
        assert_eq!(asked("10.1.2.3:9"), "10.1.2.3:9");
    }
}
