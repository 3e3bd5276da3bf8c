//! A GoDoxy configuration, as it is.

use std::collections::HashMap;

use nuncio::Nuncio;
use nuncio::config::Config;
use nuncio::contract::{Level, Notification};
use serde_json::json;

use crate::scripted::{Receiver, reply};
use crate::stage::{self, Stage};

/// Shaped after GoDoxy's `config.example.yml`: everything but `providers.notification` is GoDoxy's own, among
/// it variables that only GoDoxy's environment has.
const GODOXY: &str = r#"
autocert:
  provider: cloudflare
  email: ${ACME_EMAIL}
  domains: ["*.example.org"]
  options:
    auth_token: ${CLOUDFLARE_TOKEN}
entrypoint:
  middlewares:
    - use: CloudflareRealIP
acl:
  notify: { interval: 1m, to: [gotify] }
providers:
  include: [file1.yml]
  docker:
    local: $DOCKER_HOST
  notification:
    - name: gotify
      provider: gotify
      url: ${GOTIFY_URL}/
      token: ${GOTIFY_TOKEN}
    - provider: ntfy
      url: ${NTFY_URL}
      topic: godoxy
      token: tk_0123456789
    - name: discord
      provider: webhook
      url: ${WEBHOOK_URL}/api/webhooks/1/secret-part
      template: discord
    - name: pushover
      provider: webhook
      url: ${WEBHOOK_URL}/1/messages.json
      mime_type: application/x-www-form-urlencoded
      payload: |
        {"token": "app-token", "user": "user-key", "title": $title, "message": $message}
match_domains: [example.org]
timeout_shutdown: 5
"#;

#[tokio::test]
async fn a_godoxy_configuration_delivers_to_all_its_providers_unchanged() {
    let [gotify, ntfy, webhook] = std::array::from_fn(|_| Receiver::start([reply(200)]));
    let environment: HashMap<String, String> = HashMap::from([
        ("GOTIFY_URL".into(), gotify.url("")),
        ("GOTIFY_TOKEN".into(), "AbCdEf.123456".into()),
        ("NTFY_URL".into(), ntfy.url("")),
        ("WEBHOOK_URL".into(), webhook.url("")),
    ]);
    let config = Config::load("config.yml", GODOXY, &environment, &stage::brain())
        .unwrap_or_else(|error| panic!("{error}"));
    let clock = nuncio::clock::ManualClock::at(stage::BEGINNING);
    let nuncio = Nuncio::with_config(stage::brain(), config)
        .clock(clock.clone())
        .start()
        .expect("the dispatcher starts");
    let stage = Stage { clock, nuncio };

    // What GoDoxy's monitor sends when a service goes down.
    let fields = [("Service Name", "git"), ("Detail", "dial tcp: \"refused\"\nby peer")];
    let down = Notification::new(Level::Warn, "❌ Service went down ❌").fields(fields).color(0xff_0000);
    stage.hand_in(down).await;
    stage.drive().await;
    assert_eq!(stage.nuncio.stats().await.expect("it runs").delivered, 4);

    let request = gotify.next().await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/message"));
    assert_eq!(request.header("authorization"), Some("Bearer AbCdEf.123456"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    let text = "#### Service Name\ngit\n#### Detail\ndial tcp: \"refused\"\nby peer\n";
    assert_eq!(
        request.json(),
        json!({
            "title": "❌ Service went down ❌", "message": text, "priority": 2,
            "extras": { "client::display": { "contentType": "text/markdown" } },
        })
    );

    let request = ntfy.next().await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
    assert_eq!(request.header("authorization"), Some("Bearer tk_0123456789"));
    assert_eq!(
        request.json(),
        json!({
            "topic": "godoxy", "title": "❌ Service went down ❌", "message": text, "priority": 3,
            "markdown": true,
        })
    );

    let mut requests = [webhook.next().await, webhook.next().await];
    requests.sort_by_key(|request| request.path.clone());
    let [pushover, discord] = requests;
    assert_eq!(pushover.path, "/1/messages.json");
    assert_eq!(pushover.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&pushover.body).into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        form,
        [
            pair("token", "app-token"),
            pair("user", "user-key"),
            pair("title", "❌ Service went down ❌"),
            pair("message", text)
        ]
    );
    assert_eq!(discord.path, "/api/webhooks/1/secret-part");
    let embed = &discord.json()["embeds"][0];
    assert_eq!(embed["title"], "❌ Service went down ❌");
    assert_eq!(embed["color"], 0xff0000);
    assert_eq!(embed["fields"][1]["name"], "Detail");
    assert_eq!(embed["fields"][1]["value"], "dial tcp: \"refused\"\nby peer");
}
