use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use super::*;
use crate::scale_set::Description;

fn mk_service() -> Service {
    Service::new(Settings { token_lifetime: 3600, groups: vec!["gpus".to_owned()] })
}

/// A service with one tenant, and the tenant's ID.
fn mk_tenant() -> (Service, u64) {
    let mut service = mk_service();
    let tenant = tenant(&mut service, Scope::Organization("amd".to_owned()));
    (service, tenant)
}

fn tenant(service: &mut Service, scope: Scope) -> u64 {
    let token = service.registration_token(scope, 0);
    let answer = service.register(token["token"].as_str().unwrap(), "http://x", 0).unwrap();
    answer["url"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

fn named(name: &str) -> Description {
    Description { name: Some(name.to_owned()), ..Description::default() }
}

fn create(service: &mut Service, tenant: u64, name: &str) -> u64 {
    service.create_scale_set(tenant, named(name), 0).unwrap()["id"].as_u64().unwrap()
}

#[test]
fn a_scope_is_the_same_tenant_each_time() {
    let mut service = mk_service();
    let organization = tenant(&mut service, Scope::Organization("amd".to_owned()));
    let repository = Scope::Repository("amd".to_owned(), "rocm".to_owned());
    let repository = tenant(&mut service, repository);
    assert_ne!(organization, repository);
    assert_eq!(tenant(&mut service, Scope::Organization("amd".to_owned())), organization);
}

#[test]
fn a_token_is_good_for_one_thing() {
    let (mut service, tenant) = mk_tenant();
    let registration = service.registration_token(Scope::Organization("amd".to_owned()), 0);
    let registration = registration["token"].as_str().unwrap().to_owned();
    let answer = service.register(&registration, "http://x", 0).unwrap();
    let token = answer["token"].as_str().unwrap();
    assert_eq!(service.authorize(token, tenant, 0), Ok(()));
    assert_eq!(service.authorize(token, tenant + 1, 0).unwrap_err().status, 401);
    assert_eq!(service.authorize(&registration, tenant, 0).unwrap_err().status, 401);
    assert_eq!(service.authorize(token, tenant, 3600).unwrap_err().status, 401);
    let token = token.to_owned();
    assert_eq!(service.register(&token, "http://x", 0).unwrap_err().status, 401);
}

#[test]
fn groups_are_found_whatever_their_case() {
    let service = mk_service();
    assert_eq!(service.runner_groups(Some("default"))["value"][0]["isDefaultGroup"], true);
    assert_eq!(service.runner_groups(Some("GPUs"))["value"][0]["id"], 2);
    assert_eq!(service.runner_groups(Some("none")), json!({"count": 0, "value": []}));
    assert_eq!(service.runner_groups(None)["count"], 2);
}

#[test]
fn a_name_is_taken_once_in_a_group_of_a_tenant() {
    let (mut service, one) = mk_tenant();
    let other = tenant(&mut service, Scope::Enterprise("amd".to_owned()));
    let id = create(&mut service, one, "gpu");
    assert_eq!(service.create_scale_set(one, named("GPU"), 0).unwrap_err().status, 409);
    create(&mut service, other, "gpu");
    let in_group = Description { runner_group_id: Some(2), ..named("gpu") };
    assert_eq!(service.create_scale_set(one, in_group, 0).unwrap()["runnerGroupName"], "gpus");
    let nowhere = Description { runner_group_id: Some(9), ..named("gpu") };
    assert_eq!(service.create_scale_set(one, nowhere, 0).unwrap_err().status, 400);
    assert_eq!(service.create_scale_set(one, named(""), 0).unwrap_err().status, 400);
    assert_eq!(service.update_scale_set(one, id, named("gpu")).unwrap()["name"], "gpu");
}

#[test]
fn another_tenants_things_are_not_there() {
    let (mut service, one) = mk_tenant();
    let other = tenant(&mut service, Scope::Enterprise("amd".to_owned()));
    let id = create(&mut service, one, "gpu");
    let runner = service.generate_jit_config(one, id, "r", "_work").unwrap();
    let runner = runner["runner"]["id"].as_u64().unwrap();
    assert_eq!(service.show_scale_set(other, id).unwrap_err().status, 404);
    assert_eq!(service.show_runner(other, runner).unwrap_err().name, "AgentNotFoundException");
    assert_eq!(service.find_runners(other, Some("r"))["count"], 0);
    assert_eq!(service.find_scale_sets(other, None, None)["count"], 0);
    // A deletion succeeds, and deletes nothing of the other tenant's.
    service.delete_scale_set(other, id);
    service.remove_runner(other, runner).unwrap();
    assert_eq!(service.find_scale_sets(one, None, None)["count"], 1);
    assert_eq!(service.find_runners(one, Some("r"))["count"], 1);
}

#[test]
fn a_runner_goes_with_its_job_or_its_scale_set() {
    let (mut service, tenant) = mk_tenant();
    let id = create(&mut service, tenant, "gpu");
    for name in ["a", "b"] {
        service.generate_jit_config(tenant, id, name, "_work").unwrap();
    }
    let again = service.generate_jit_config(tenant, id, "a", "_work").unwrap_err();
    assert_eq!((again.status, again.name), (409, "AgentExistsException"));
    let jobs = service.add_jobs(id, 2, false, 0).unwrap();
    let job = jobs["jobs"][0].as_u64().unwrap();
    assert_eq!(service.start_job(job, "unknown", 0).unwrap_err().status, 404);
    service.start_job(job, "a", 0).unwrap();
    let a = service.find_runners(tenant, Some("a"))["value"][0]["id"].as_u64().unwrap();
    let busy = service.remove_runner(tenant, a).unwrap_err();
    assert_eq!((busy.status, busy.name), (400, "JobStillRunningException"));
    service.complete_job(job, "succeeded", 0).unwrap();
    service.remove_runner(tenant, a).unwrap();
    assert_eq!(service.find_runners(tenant, None)["count"], 1);
    service.delete_scale_set(tenant, id);
    assert_eq!(service.runners.len(), 0);
    assert_eq!(service.complete_job(job + 1, "succeeded", 0).unwrap_err().status, 404);
}

#[test]
fn a_runners_configuration_is_files_in_base64() {
    let (mut service, tenant) = mk_tenant();
    let id = create(&mut service, tenant, "gpu");
    let config = service.generate_jit_config(tenant, id, "a", "_work").unwrap();
    let files = BASE64.decode(config["encodedJITConfig"].as_str().unwrap()).unwrap();
    let files: Value = serde_json::from_slice(&files).unwrap();
    let runner = BASE64.decode(files[".runner"].as_str().unwrap()).unwrap();
    let runner: Value = serde_json::from_slice(&runner).unwrap();
    assert_eq!(runner["agentName"], "a");
    assert_eq!(config["runner"]["runnerScaleSetId"], id);
}

#[test]
fn a_message_is_only_for_the_session_in_force() {
    let (mut service, tenant) = mk_tenant();
    let id = create(&mut service, tenant, "gpu");
    let session = service.open_session(tenant, id, "listener", "http://x", 0).unwrap();
    let session = session["sessionId"].as_str().unwrap().to_owned();
    service.add_jobs(id, 1, false, 0).unwrap();
    let message = service.next_message(tenant, id, &session, 0, 0).unwrap().unwrap();
    assert_eq!(message["statistics"]["totalAssignedJobs"], 1);
    service.close_session(tenant, id, &session, 0).unwrap();
    assert_eq!(service.next_message(tenant, id, &session, 0, 0).unwrap_err().status, 404);
    assert_eq!(
        service.refresh_session(tenant, id, &session, "http://x", 0).unwrap_err().status,
        404
    );
}
