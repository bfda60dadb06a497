//! `hive notify --test`: whether whoever hears of applies can be reached.

use crate::cli::args;
use crate::cli::desk::Desk;
use crate::cli::ended::Ended;
use crate::cli::exit::Exit;
use crate::cli::target;
use crate::render::clean::clean;

/// Sends a test message.
///
/// # Errors
/// There is no such notice, or the stack is wrong.
pub async fn run(desk: &Desk, args: args::Notify) -> Result<Exit, Ended> {
    let (addresses, folder) = target::addresses(&desk.outside.folder, &args.words)?;
    if addresses.len() > 1 {
        return Err(Ended::usage("name one `notify` and not two"));
    }
    let session = desk.open(folder, None).await?;
    let sent = session.tell_test(addresses.first()).await?;
    if sent.is_empty() {
        desk.screen.result("the stack declares no `notify`\n");
    }
    let mut exit = Exit::Done;
    for (address, came) in sent {
        match came {
            Ok(()) => desk.screen.result(&format!("{address}  sent\n")),
            Err(why) => {
                exit = Exit::Failed;
                desk.screen.result(&format!("{address}  not sent: {}\n", clean(&why)));
            }
        }
    }
    Ok(exit)
}
