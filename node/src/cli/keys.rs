//! `key`.

use super::CliError;
use super::args::{Globals, KeyCommand};
use super::terminal;
use haggle_gateway::view::{KeyList, KeyView, NodeStatus, Purchased};
use serde_json::json;

pub(super) async fn run(globals: &Globals, command: KeyCommand) -> Result<(), CliError> {
    let client = globals.client()?;
    match command {
        KeyCommand::Make { agent, allowance, buyer } => {
            let buyer = match buyer {
                Some(buyer) => buyer,
                None => client.get::<NodeStatus>("/v1/node").await?.agents.into_iter().next().unwrap_or_default(),
            };
            let mut request = json!({"buyer_id": buyer, "agent_id": agent, "plan": "per_call"});
            if let Some(allowance) = allowance {
                request["allowance"] = json!(allowance);
            }
            let made: Purchased = client.post("/api/v1/purchase", &request).await?;
            if globals.json {
                terminal::json(&made);
                return Ok(());
            }
            terminal::heading(&made.api_key);
            terminal::aside("it is shown this once; only its hash is kept");
            terminal::pairs([
                ("calls", format!("POST {}/invoke", made.endpoint)),
                ("price", format!("{} USDC a call", made.price_per_call)),
            ]);
            terminal::next(globals.quiet, &[("haggle key list".to_owned(), "what it has spent")]);
            Ok(())
        }
        KeyCommand::List => {
            let keys: KeyList = client.get("/v1/keys").await?;
            if globals.json {
                terminal::json(&keys);
                return Ok(());
            }
            if keys.items.is_empty() {
                terminal::line("No keys yet.");
            }
            keys.items.iter().for_each(show);
            Ok(())
        }
        KeyCommand::Revoke { id } => {
            let key: KeyView = client.delete_for(&format!("/v1/keys/{id}")).await?;
            if globals.json {
                terminal::json(&key);
            } else {
                show(&key);
            }
            Ok(())
        }
    }
}

fn show(key: &KeyView) {
    terminal::heading(format!("sk_live_{}…", key.id));
    terminal::pairs([
        ("calls", key.agent.clone()),
        ("paid by", key.buyer.clone()),
        ("spent", format!("{} of {} USDC in {} calls", key.spent, key.allowance, key.calls)),
        ("held", key.held.to_string()),
        ("made", key.created_at.clone()),
        ("revoked", key.revoked_at.clone().unwrap_or_else(|| "no".to_owned())),
    ]);
}
