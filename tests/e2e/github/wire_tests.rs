//! The stand-in over a socket, asked as ARC's client asks: `actions/scaleset`'s requests, with its
//! headers, in its order.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{
    routes::{App, router},
    service::{Service, Settings},
};

/// How long these tests hold a poll: long enough to see that it was held.
const HOLD: Duration = Duration::from_secs(1);

/// For a poll that something ends earlier, on however busy a machine.
const LONG_HOLD: Duration = Duration::from_mins(1);

/// What a client gets.
#[derive(Debug)]
struct Reply {
    status: u16,
    body: Value,
}

async fn mk_server(token_lifetime: u64) -> SocketAddr {
    mk_holding_server(token_lifetime, HOLD).await
}

async fn mk_holding_server(token_lifetime: u64, hold: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Service::new(Settings { token_lifetime, groups: Vec::new() });
    tokio::spawn(async move { axum::serve(listener, router(App::new(service, hold))).await });
    address
}

/// One request of one connection. `target` is a path, or a URL of the stand-in.
async fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    authorization: &str,
    body: &Value,
) -> Reply {
    let path = target.strip_prefix(&format!("http://{address}")).unwrap_or(target);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         User-Agent: actions-runner-controller/0.14.2\r\nAuthorization: {authorization}\r\n\
         X-ScaleSetMaxCapacity: 8\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Reply { status, body }
}

/// A client that has registered, as ARC's controller has.
struct Client {
    address: SocketAddr,
    tenant: String,
    authorization: String,
}

impl Client {
    /// Calls 1 and 2 of ARC.
    async fn register(address: SocketAddr, scope: &str) -> Self {
        let path = format!("/api/v3/{scope}/actions/runners/registration-token");
        let token =
            ask(address, "POST", &path, "Bearer a-personal-access-token", &Value::Null).await;
        assert_eq!(token.status, 201);
        assert!(token.body["expires_at"].as_str().unwrap().ends_with('Z'));
        let authorization = format!("RemoteAuth {}", token.body["token"].as_str().unwrap());
        let body = json!({"url": format!("http://{address}/amd"), "runner_event": "register"});
        let path = "/api/v3/actions/runner-registration";
        let tenant = ask(address, "POST", path, &authorization, &body).await;
        assert_eq!(tenant.status, 200);
        Self {
            address,
            tenant: tenant.body["url"].as_str().unwrap().to_owned(),
            authorization: format!("Bearer {}", tenant.body["token"].as_str().unwrap()),
        }
    }

    /// A tenant's call, with the version that all of them carry.
    async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        let mark = if path.contains('?') { '&' } else { '?' };
        let url = format!("{}/_apis/{path}{mark}api-version=6.0-preview", self.tenant);
        ask(self.address, method, &url, &self.authorization, &body).await
    }

    /// A scale set, as ARC makes it.
    async fn create(&self, name: &str) -> u64 {
        let body = json!({
            "name": name,
            "runnerGroupId": 1,
            "labels": [{"type": "System", "name": name}],
            "RunnerSetting": {"ephemeral": true, "isElastic": true, "disableUpdate": true},
        });
        let created = self.call("POST", "runtime/runnerscalesets", body).await;
        assert_eq!(created.status, 200, "{created:?}");
        created.body["id"].as_u64().unwrap()
    }

    /// The listener's session.
    async fn listen(&self, id: u64) -> Queue {
        let path = format!("runtime/runnerscalesets/{id}/sessions");
        let session = self.call("POST", &path, json!({"ownerName": "a-listener"})).await;
        assert_eq!(session.status, 200, "{session:?}");
        Queue::of(self.address, &session.body)
    }
}

/// A listener's end of a message queue.
struct Queue {
    address: SocketAddr,
    session: String,
    url: String,
    authorization: String,
}

impl Queue {
    fn of(address: SocketAddr, session: &Value) -> Self {
        assert!(session["statistics"]["totalAssignedJobs"].is_u64(), "{session}");
        let text = |key: &str| session[key].as_str().unwrap().to_owned();
        Self {
            address,
            session: text("sessionId"),
            url: text("messageQueueUrl"),
            authorization: format!("Bearer {}", text("messageQueueAccessToken")),
        }
    }

    async fn poll(&self, seen: u64) -> Reply {
        let url = format!("{}&lastMessageId={seen}", self.url);
        ask(self.address, "GET", &url, &self.authorization, &Value::Null).await
    }

    /// Puts the message's ID behind the path, before the query, as the client does.
    async fn delete(&self, message: u64) -> Reply {
        let (path, query) = self.url.split_once('?').unwrap();
        let url = format!("{path}/{message}?{query}");
        ask(self.address, "DELETE", &url, &self.authorization, &Value::Null).await
    }
}

async fn control(address: SocketAddr, path: &str, body: Value) -> Reply {
    ask(address, "POST", &format!("/control/{path}"), "none", &body).await
}

fn kinds(message: &Value) -> Vec<String> {
    let items: Vec<Value> = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
    items.iter().map(|item| item["messageType"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_scale_set_registers_as_arcs_controller_does_it() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "orgs/amd").await;
    let group = client.call("GET", "runtime/runnergroups/?groupName=default", Value::Null).await;
    assert_eq!(group.status, 200);
    assert_eq!(
        group.body,
        json!({"count": 1, "value": [
            {"id": 1, "name": "Default", "size": 0, "isDefaultGroup": true},
        ]})
    );
    let find = "runtime/runnerscalesets?runnerGroupId=1&name=linux.rocm.gpu.gfx942.2";
    let none = client.call("GET", find, Value::Null).await;
    assert_eq!((none.status, none.body), (200, json!({"count": 0, "value": []})));
    let id = client.create("linux.rocm.gpu.gfx942.2").await;
    let found = client.call("GET", find, Value::Null).await.body;
    assert_eq!(found["count"], 1);
    assert_eq!(found["value"][0]["id"], id);
    assert_eq!(found["value"][0]["runnerGroupName"], "Default");
    assert_eq!(found["value"][0]["RunnerSetting"]["ephemeral"], true);
    let one = format!("runtime/runnerscalesets/{id}");
    assert_eq!(client.call("GET", &one, Value::Null).await.body["name"], "linux.rocm.gpu.gfx942.2");
    let changed = client.call("PATCH", &one, json!({"name": "renamed"})).await;
    assert_eq!((changed.status, &changed.body["name"]), (200, &json!("renamed")));
    assert_eq!(changed.body["labels"][0]["name"], "linux.rocm.gpu.gfx942.2");
    assert_eq!(client.call("DELETE", &one, Value::Null).await.status, 204);
    assert_eq!(client.call("GET", &one, Value::Null).await.status, 404);
    // ARC takes only 204, also where a restart of the service has lost the scale set.
    for gone in [one, "runtime/runnerscalesets/99".to_owned()] {
        assert_eq!(client.call("DELETE", &gone, Value::Null).await.status, 204, "{gone}");
    }
}

#[tokio::test]
async fn runners_come_and_go_as_arcs_controller_does_it() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "repos/amd/rocm").await;
    let id = client.create("gpu").await;
    let path = format!("runtime/runnerscalesets/{id}/generatejitconfig");
    let setting = json!({"name": "gpu-abcde-runner-fghij", "workFolder": "/home/runner/_work"});
    let config = client.call("POST", &path, setting.clone()).await;
    assert_eq!(config.status, 200);
    assert!(!config.body["encodedJITConfig"].as_str().unwrap().is_empty());
    assert_eq!(config.body["runner"]["name"], "gpu-abcde-runner-fghij");
    let again = client.call("POST", &path, setting).await;
    assert_eq!((again.status, &again.body["typeName"]), (409, &json!("AgentExistsException")));
    let agents = "distributedtask/pools/0/agents";
    let by_name = format!("{agents}?agentName=gpu-abcde-runner-fghij");
    let by_name = client.call("GET", &by_name, Value::Null).await.body;
    assert_eq!((&by_name["count"], &by_name["value"][0]), (&json!(1), &config.body["runner"]));
    let one = format!("{agents}/{}", config.body["runner"]["id"]);
    assert_eq!(client.call("GET", &one, Value::Null).await.body, config.body["runner"]);
    assert_eq!(client.call("DELETE", &one, Value::Null).await.status, 204);
    // ARC deletes an idle runner twice, for the set and for the finalizer, and takes only 204.
    for gone in [one.clone(), format!("{agents}/99")] {
        assert_eq!(client.call("DELETE", &gone, Value::Null).await.status, 204, "{gone}");
    }
    let gone = client.call("GET", &one, Value::Null).await;
    assert_eq!((gone.status, &gone.body["typeName"]), (404, &json!("AgentNotFoundException")));
}

#[tokio::test]
async fn a_listener_is_told_of_jobs_from_first_to_last() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "enterprises/amd").await;
    let id = client.create("gpu").await;
    let queue = client.listen(id).await;
    let jobs = control(address, &format!("scale-sets/{id}/jobs"), json!({"count": 2})).await;
    assert_eq!(jobs.status, 201);
    let message = queue.poll(0).await;
    assert_eq!(message.status, 200);
    assert_eq!(message.body["messageType"], "RunnerScaleSetJobMessages");
    assert_eq!(message.body["statistics"]["totalAssignedJobs"], 2);
    assert_eq!(kinds(&message.body), ["JobAssigned", "JobAssigned"]);
    assert_eq!(queue.delete(1).await.status, 204);
    let path = format!("runtime/runnerscalesets/{id}/generatejitconfig");
    client.call("POST", &path, json!({"name": "gpu-runner", "workFolder": "_work"})).await;
    let job = &jobs.body["jobs"][0];
    let start = format!("jobs/{job}/start");
    let started = control(address, &start, json!({"runner": "gpu-runner"})).await;
    assert_eq!(started.status, 204);
    let message = queue.poll(1).await.body;
    assert_eq!(kinds(&message), ["JobStarted"]);
    assert_eq!(message["statistics"]["totalBusyRunners"], 1);
    assert_eq!(control(address, &format!("jobs/{job}/complete"), json!({})).await.status, 204);
    let message = queue.poll(2).await.body;
    assert_eq!(kinds(&message), ["JobCompleted"]);
    assert_eq!(message["statistics"]["totalAssignedJobs"], 1);
    assert_eq!(message["statistics"]["totalRegisteredRunners"], 0);
    let state = ask(address, "GET", "/control/state", "none", &Value::Null).await.body;
    let set = &state["scaleSets"][0];
    assert_eq!(set["scope"], "enterprises/amd");
    assert_eq!(set["listener"], "a-listener");
    assert_eq!(set["maxCapacity"], 8);
    assert_eq!(set["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_listener_may_acquire_jobs_that_are_on_offer() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "orgs/amd").await;
    let id = client.create("gpu").await;
    let queue = client.listen(id).await;
    let offer = json!({"count": 1, "offer": true});
    let jobs = control(address, &format!("scale-sets/{id}/jobs"), offer).await.body;
    let message = queue.poll(0).await.body;
    assert_eq!(kinds(&message), ["JobAvailable"]);
    assert_eq!(message["statistics"]["totalAssignedJobs"], 0);
    let url = format!(
        "{}/_apis/runtime/runnerscalesets/{id}/acquirejobs?api-version=6.0-preview",
        client.tenant
    );
    let acquired = ask(address, "POST", &url, &queue.authorization, &jobs["jobs"]).await;
    assert_eq!(acquired.status, 200);
    assert_eq!(acquired.body, json!({"count": 1, "value": jobs["jobs"]}));
    let message = queue.poll(1).await.body;
    assert_eq!(kinds(&message), ["JobAssigned"]);
    assert_eq!(message["statistics"]["totalAssignedJobs"], 1);
}

#[tokio::test]
async fn a_poll_is_held_until_the_time_is_over() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "orgs/amd").await;
    let id = client.create("gpu").await;
    let queue = client.listen(id).await;
    let start = Instant::now();
    let nothing = queue.poll(0).await;
    assert_eq!((nothing.status, nothing.body), (202, Value::Null));
    assert!(start.elapsed() >= HOLD);
}

#[tokio::test]
async fn a_poll_is_held_no_longer_than_until_there_is_something() {
    let address = mk_holding_server(3600, LONG_HOLD).await;
    let client = Client::register(address, "orgs/amd").await;
    let id = client.create("gpu").await;
    let queue = client.listen(id).await;
    let path = format!("scale-sets/{id}/jobs");
    let later = async {
        tokio::time::sleep(HOLD / 4).await;
        control(address, &path, json!({"count": 1})).await
    };
    let start = Instant::now();
    let (message, _) = tokio::join!(queue.poll(0), later);
    assert_eq!(message.status, 200);
    assert!(start.elapsed() < LONG_HOLD / 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_session_has_one_owner_and_can_be_renewed_and_closed() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "orgs/amd").await;
    let id = client.create("gpu").await;
    let queue = client.listen(id).await;
    let sessions = format!("runtime/runnerscalesets/{id}/sessions");
    let second = client.call("POST", &sessions, json!({"ownerName": "another"})).await;
    assert_eq!(second.status, 409);
    let own = format!("{sessions}/{}", queue.session);
    let renewed = client.call("PATCH", &own, Value::Null).await;
    assert_eq!(renewed.status, 200);
    let renewed = Queue::of(address, &renewed.body);
    assert_eq!(renewed.session, queue.session);
    assert_ne!(renewed.authorization, queue.authorization);
    assert_eq!(renewed.poll(0).await.status, 202);
    assert_eq!(client.call("DELETE", &own, Value::Null).await.status, 204);
    assert_eq!(queue.poll(0).await.status, 404);
    client.listen(id).await;
}

#[tokio::test]
async fn tokens_are_asked_for_everywhere_and_expire() {
    let address = mk_server(0).await;
    let path = "/api/v3/orgs/amd/actions/runners/registration-token";
    assert_eq!(ask(address, "POST", path, "Basic x", &Value::Null).await.status, 401);
    let token = ask(address, "POST", path, "Bearer x", &Value::Null).await.body;
    let authorization = format!("RemoteAuth {}", token["token"].as_str().unwrap());
    let body = json!({"url": "http://x/amd", "runner_event": "register"});
    let path = "/api/v3/actions/runner-registration";
    assert_eq!(ask(address, "POST", path, &authorization, &body).await.status, 401);

    let address = mk_server(3600).await;
    let mut client = Client::register(address, "orgs/amd").await;
    let id = client.create("gpu").await;
    let mut queue = client.listen(id).await;
    std::mem::swap(&mut client.authorization, &mut queue.authorization);
    let refused = client.call("GET", "runtime/runnerscalesets", Value::Null).await;
    assert_eq!((refused.status, refused.body["typeName"].is_string()), (401, true));
    assert_eq!(queue.poll(0).await.status, 401);
}

#[tokio::test]
async fn what_no_client_sends_is_refused_with_a_reason() {
    let address = mk_server(3600).await;
    let client = Client::register(address, "orgs/amd").await;
    let id = client.create("gpu").await;
    let url = format!("{}/_apis/runtime/runnerscalesets", client.tenant);
    let no_version = ask(address, "GET", &url, &client.authorization, &Value::Null).await;
    assert_eq!(no_version.status, 400);
    let unknown = client.call("GET", "runtime/no-such-thing", Value::Null).await;
    assert_eq!((unknown.status, &unknown.body["typeName"]), (404, &json!("NotFoundException")));
    for body in [json!({"count": 0}), json!({"count": 1_000_000}), json!({"jobs": 1})] {
        assert_eq!(control(address, &format!("scale-sets/{id}/jobs"), body).await.status, 400);
    }
    assert_eq!(control(address, "scale-sets/99/jobs", json!({"count": 1})).await.status, 404);
    assert_eq!(control(address, "jobs/99/complete", json!({})).await.status, 404);
    let path = format!("scale-sets/{id}/jobs");
    let job = control(address, &path, json!({"count": 1})).await.body["jobs"][0].clone();
    let result = json!({"result": "marvellous"});
    assert_eq!(control(address, &format!("jobs/{job}/complete"), result).await.status, 400);
}
