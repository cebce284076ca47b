//! A shop on r402's axum middleware, its facilitator somewhere else.
//!
//! Sold at /exact (worked, then settled) and /upfront (settled, then worked); each counts how often its work ran. TOKEN
//! is the bearer token for the facilitator's /verify and /settle. Prints its port once it can be called.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use axum::routing::any;
use axum::{Json, Router};
use r402_evm::Eip155Exact;
use r402_evm::chain::{Eip155TokenDeployment, TokenDeploymentEip712};
use r402_http::X402Middleware;
use r402_http::server::FacilitatorClient;
use r402_protocol::network::ChainId;
use r402_protocol::payment::PriceTag;
use serde_json::{Value, json};

use crate::{Asked, Problem};

pub(crate) async fn run(asked: &Asked) -> Result<(), Problem> {
    let network: ChainId = asked.network().parse()?;
    let domain = TokenDeploymentEip712 {
        name: asked.get("name").unwrap_or("USD Coin").to_owned(),
        version: asked.get("version").unwrap_or("2").to_owned(),
    };
    let token = Eip155TokenDeployment {
        chain_reference: (&network).try_into()?,
        address: asked.need("asset")?.parse()?,
        decimals: 6,
        eip712: Some(domain),
    };
    let price: u64 = asked.get("price").unwrap_or("20000").parse()?;
    let pay_to: r402_evm::chain::ChecksummedAddress = asked.need("pay-to")?.parse()?;
    let exact = Eip155Exact::price_tag(pay_to, token.amount(price), None);

    let bearer = format!("Bearer {}", std::env::var("TOKEN")?);
    let facilitator = FacilitatorClient::try_from(asked.need("facilitator")?)?.with_auth(move || {
        let own = json!({"Authorization": bearer});
        async move { Ok(json!({"verify": own, "settle": own})) }
    });

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let x402 = X402Middleware::from_facilitator(facilitator)
        .with_base_url(format!("http://127.0.0.1:{port}").parse()?)
        .with_scheme("eip155:*".parse()?, Eip155Exact);
    let app = Router::new()
        .route("/exact", sold("/exact").layer(x402.with_price_tag(exact.clone())?))
        .route("/upfront", sold("/upfront").layer(x402.with_price_tag(upfront(exact))?));
    println!("{port}");
    Ok(axum::serve(listener, app).await?)
}

/// The same price, settled before the work.
fn upfront(mut tag: PriceTag) -> PriceTag {
    if let Some(Value::Object(extra)) = &mut tag.requirements.extra {
        extra.insert("paymentFlow".to_owned(), json!("upfront"));
    }
    tag
}

fn sold(path: &'static str) -> axum::routing::MethodRouter {
    let worked = Arc::new(AtomicU64::new(0));
    any(move |body: Bytes| async move {
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        Json(json!({"sold": path, "worked": worked.fetch_add(1, Ordering::Relaxed) + 1, "asked": asked}))
    })
}
