//! An RPC endpoint that stands before the chain and can be told to misbehave.

use std::sync::Arc;

use haggle_devchain::DevChain;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How an endpoint behaves.
#[derive(Clone)]
pub(crate) enum Manner {
    /// It passes on what the chain says.
    Honest,
    /// It closes the connection without an answer.
    Dead,
    /// It takes the request and never answers.
    Silent,
    /// It knows nothing of blocks above this one, and takes no transactions.
    Behind(u64),
    /// It changes answers: method, parameters, result.
    Lying(fn(&str, &Value, &mut Value)),
}

/// The endpoint; it stops with the test.
pub(crate) struct Proxy {
    pub(crate) url: String,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub(crate) async fn before(chain: &DevChain) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let manner = Arc::new(Mutex::new(Manner::Honest));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let chain = chain.addr().unwrap().to_string();
        let (how, heard) = (Arc::clone(&manner), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (chain, how, heard) = (chain.clone(), Arc::clone(&how), Arc::clone(&heard));
                tokio::spawn(async move { serve(stream, &chain, &how, &heard).await });
            }
        });
        Self { url, manner, asked, task }
    }

    pub(crate) fn turns(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    /// How often it was asked this.
    pub(crate) fn asked(&self, method: &str) -> usize {
        self.asked.lock().iter().filter(|asked| *asked == method).count()
    }
}

async fn serve(mut stream: TcpStream, chain: &str, manner: &Mutex<Manner>, heard: &Mutex<Vec<String>>) -> Option<()> {
    let body = read_body(&mut stream).await?;
    let request: Value = serde_json::from_slice(&body).ok()?;
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    heard.lock().push(method.clone());
    let manner = manner.lock().clone();
    let answer = match manner {
        Manner::Dead => return None,
        Manner::Silent => {
            std::future::pending::<()>().await;
            return None;
        }
        Manner::Honest => forward(chain, &body).await?,
        Manner::Lying(lie) => {
            let mut answer: Value = serde_json::from_slice(&forward(chain, &body).await?).ok()?;
            if let Some(result) = answer.get_mut("result") {
                lie(&method, &request["params"], result);
            }
            answer.to_string().into_bytes()
        }
        Manner::Behind(head) => behind(chain, request, &method, head).await?,
    };
    let start = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    stream.write_all(start.as_bytes()).await.ok()?;
    stream.write_all(&answer).await.ok()
}

/// What an endpoint answers that has not seen a block above `head`.
async fn behind(chain: &str, mut request: Value, method: &str, head: u64) -> Option<Vec<u8>> {
    let hex = |value: &Value| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok();
    let id = request["id"].clone();
    let result = |result: Value| Some(json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string().into_bytes());
    match method {
        "eth_blockNumber" => return result(json!(format!("{head:#x}"))),
        "eth_sendRawTransaction" => return None,
        "eth_getBlockByNumber" if request["params"][0] == "latest" => {
            request["params"][0] = json!(format!("{head:#x}"));
        }
        "eth_getBlockByNumber" if hex(&request["params"][0])? > head => return result(Value::Null),
        "eth_getLogs" if hex(&request["params"][0]["toBlock"]).is_some_and(|to| to > head) => {
            request["params"][0]["toBlock"] = json!(format!("{head:#x}"));
        }
        _ => {}
    }
    let answer = forward(chain, request.to_string().as_bytes()).await?;
    let value: Value = serde_json::from_slice(&answer).ok()?;
    if method == "eth_getTransactionReceipt" && hex(&value["result"]["blockNumber"]).is_some_and(|at| at > head) {
        return result(Value::Null);
    }
    Some(answer)
}

async fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut got = Vec::new();
    let start = loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        got.extend_from_slice(&part[..read]);
        if let Some(end) = got.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&got[..start]).to_ascii_lowercase();
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse().ok()?;
    let mut body = got.split_off(start);
    let have = body.len();
    body.resize(length.max(have), 0);
    stream.read_exact(&mut body[have..]).await.ok()?;
    Some(body)
}

async fn forward(chain: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(chain).await.ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {chain}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok()?;
    let start = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    Some(answer.split_off(start))
}
