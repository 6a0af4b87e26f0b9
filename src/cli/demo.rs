//! `adaptd demo`: the service on shipped data, used through its own HTTP interface.

use clap::Args;

use super::serve;
use crate::config::Given;

/// What may be chosen about the demo.
#[derive(Debug, Args)]
pub struct Arguments {
    /// End when the tables are printed, instead of keeping the service up
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    given: Given,
}

/// # Errors
/// One sentence for the person at the terminal.
pub fn run(arguments: &Arguments) -> Result<(), String> {
    let options = arguments.given.settle()?;
    serve::block_on(async {
        let server = serve::start(options).await?;
        println!("http://{}", server.addr());
        if !arguments.exit {
            serve::stop_signal().await;
        }
        server.shutdown().await;
        Ok(())
    })
}
