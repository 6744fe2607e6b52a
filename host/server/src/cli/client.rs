//! The running host's API, as the commands use it.

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::Config,
    host::{LISTENING, Listening, runs},
    http::ErrorBody,
    token::OwnerToken,
};

/// A running host.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    bearer: String,
    /// Whether answers are to be JSON.
    pub(super) json: bool,
}

impl Client {
    /// The host of this configuration. Where it listens stands in its data folder while it runs.
    pub(super) fn new(config: &Config, json: bool) -> Result<Self> {
        if !runs(config) {
            return Err(not_running(config));
        }
        let file = config.data_path(LISTENING);
        let text = std::fs::read_to_string(&file).map_err(|_| not_running(config))?;
        let listening: Listening =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged; restart the host", file.display()))?;
        let token = OwnerToken::read(&config.path(&config.owner_token))?;
        let http = reqwest::Client::builder().no_proxy().build().context("cannot make an HTTP client")?;
        Ok(Self { http, base: format!("http://{}/api/v1", listening.http), bearer: token.bearer(), json })
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, None::<&()>, None::<&()>).await
    }

    pub(super) async fn query<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T> {
        self.ask(Method::GET, path, Some(query), None::<&()>).await
    }

    /// A request with a JSON body and an answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: Option<&impl Serialize>,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let mut request = self.http.request(method, self.url(path)?);
        if let Some(query) = query {
            request = request.query(query);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self.send(request).await?;
        response.json().await.context("the host answered something that this version does not understand")
    }

    /// A request with raw bytes, and a header where there is one.
    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
        header: Option<(&str, String)>,
        bytes: Vec<u8>,
    ) -> Result<T> {
        let request = self.http.post(self.url(path)?).query(query).body(bytes);
        let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        self.send(request)
            .await?
            .json()
            .await
            .context("the host answered something that this version does not understand")
    }

    /// A request with a text.
    pub(super) async fn put_text<T: DeserializeOwned>(&self, path: &str, text: String) -> Result<T> {
        let request = self.http.put(self.url(path)?).header("content-type", "text/plain; charset=utf-8").body(text);
        let answer = self.send(request).await?.json().await;
        answer.context("the host answered something that this version does not understand")
    }

    /// An answer that goes on.
    pub(super) async fn follow(&self, path: &str, query: &impl Serialize) -> Result<Response> {
        self.send(self.http.get(self.url(path)?).query(query)).await
    }

    fn url(&self, path: &str) -> Result<reqwest::Url> {
        let base = reqwest::Url::parse(&self.base).context("the host listens at no valid address")?;
        page(base, path)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response> {
        let response = request.header("authorization", &self.bearer).send().await.map_err(|error| {
            if error.is_connect() {
                anyhow!("the host at {} does not answer; is it running? Start it with `cardinal serve`", self.base)
            } else {
                anyhow!(error).context("the host did not answer")
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let said = response.json::<ErrorBody>().await.map(|body| body.error).unwrap_or_default();
        match status {
            StatusCode::UNAUTHORIZED => {
                bail!("the host does not accept this owner token; was it made anew since the host started?")
            }
            _ if said.is_empty() => bail!("the host answered {status}"),
            _ => bail!("{said}"),
        }
    }
}

/// What stands for a slash inside a name until the path is cut at its own: no name has one.
const SLASH: char = '\u{1f}';

/// A name as one step of a path, such as that of a group, which may hold slashes.
pub(super) fn step(name: &str) -> String {
    name.replace('/', SLASH.encode_utf8(&mut [0; 4]))
}

/// A page of the API. Names may hold what an address may not, so each step of the path is escaped.
fn page(mut base: reqwest::Url, path: &str) -> Result<reqwest::Url> {
    let steps: Vec<_> = path.split('/').map(|step| step.replace(SLASH, "/")).collect();
    // An address cannot hold these; they would be left out, and another page asked for.
    if let Some(step) = steps.iter().find(|step| matches!(step.as_str(), "." | "..")) {
        bail!("{step:?} is no name that can be asked for");
    }
    if let Ok(mut path) = base.path_segments_mut() {
        path.extend(steps);
    }
    Ok(base)
}

fn not_running(config: &Config) -> anyhow::Error {
    anyhow!(
        "the host of {} is not running; start it with `cardinal --config {} serve`",
        config.folder.display(),
        config.folder.join("cardinal.toml").display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_step_whatever_it_holds() {
        let page = |path: &str| page("http://h/api/v1".parse().unwrap(), path).map(String::from);
        assert_eq!(page("reader/r/free").unwrap(), "http://h/api/v1/reader/r/free");
        let group = page(&format!("group/{}", step("Staff/50% of #1?"))).unwrap();
        assert_eq!(group, "http://h/api/v1/group/Staff%2F50%25%20of%20%231%3F");
        assert!(page("group/..").is_err());
    }
}
