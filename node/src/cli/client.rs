//! The command line's way to a node: its HTTP gateway.

use super::CliError;
use crate::home::Home;
use haggle_gateway::ApiError;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A client of one node's gateway.
#[derive(Clone, Debug)]
pub struct Client {
    base: String,
    token: String,
    http: reqwest::Client,
}

impl Client {
    /// A client for the gateway at `base`.
    ///
    /// # Errors
    /// The system refuses a TCP client.
    pub fn new(base: &str, token: &str) -> Result<Self, CliError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|cause| CliError::failure("http_error", cause.to_string(), "try again"))?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token: token.to_owned(), http })
    }

    /// A client for the node that runs from `home`.
    ///
    /// # Errors
    /// `not_running`.
    pub fn for_home(home: &Home, api: Option<&str>, token: Option<&str>) -> Result<Self, CliError> {
        let base = match api {
            Some(api) => api.to_owned(),
            None => {
                home.running()
                    .ok_or_else(|| CliError::not_running(format!("no node runs from {}", home.path().display())))?
                    .api
            }
        };
        let token = match token {
            Some(token) => token.to_owned(),
            None => std::fs::read_to_string(home.token_file()).unwrap_or_default().trim().to_owned(),
        };
        Self::new(&base, &token)
    }

    /// Base URL of the gateway.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The API token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `GET path`.
    ///
    /// # Errors
    /// What the gateway refuses, or `not_running`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// `GET path` with query parameters; absent ones are left out.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_with<Q: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<T, CliError> {
        let given = serde_json::to_value(query).unwrap_or_default();
        let mut url = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in given.as_object().into_iter().flatten() {
            match value {
                serde_json::Value::Null => {}
                serde_json::Value::String(text) => {
                    url.append_pair(name, text);
                }
                other => {
                    url.append_pair(name, &other.to_string());
                }
            }
        }
        self.get(&format!("{path}?{}", url.finish())).await
    }

    /// `POST path` with a body.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, CliError> {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    /// `POST path` under an idempotency key.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn post_once<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        key: &str,
        body: &B,
    ) -> Result<T, CliError> {
        self.answer(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// `DELETE path`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete(&self, path: &str) -> Result<(), CliError> {
        let _empty: serde_json::Value = self.answer(self.request(Method::DELETE, path)).await?;
        Ok(())
    }

    /// `DELETE path`, and what it answers.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn delete_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.answer(self.request(Method::DELETE, path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let response = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|cause| self.unreachable(&cause))?;
        if status == StatusCode::NO_CONTENT || (status.is_success() && body.is_empty()) {
            return parse(b"null");
        }
        if status.is_success() {
            return parse(&body);
        }
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(CliError::failure(
                "unexpected_answer",
                format!("{} answered {status} without a problem body", self.base),
                "check that --api names a haggle gateway",
            )),
        }
    }

    fn unreachable(&self, cause: &reqwest::Error) -> CliError {
        if cause.is_timeout() {
            return CliError::failure(
                "timeout",
                format!("{} did not answer in {PATIENCE:?}", self.base),
                "the state is unknown: look with `haggle order list`, and repeat with the same --key",
            );
        }
        CliError::not_running(format!("no node answers at {}", self.base))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CliError> {
    serde_json::from_slice(body).map_err(|cause| {
        CliError::failure(
            "unexpected_answer",
            format!("the answer is not what this version expects: {cause}"),
            "use the same version of haggle for the node and the command line",
        )
    })
}
