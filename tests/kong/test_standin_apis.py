"""The Admin API, the Status API, the database and the cluster of the stand-in gateway (contract 4.9, 5.1, 8)."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.peer

HANDLER = """
local Demo = { PRIORITY = 1000, VERSION = "%s" }
function Demo:header_filter(conf) kong.response.set_header("X-Demo", Demo.VERSION .. tostring(conf.on)) end
return Demo
"""
DEMO = {"name": "demo", "config": {"on": True}}
EVERYWHERE = {
    "_format_version": "3.0",
    "services": [{"name": "echo", "url": "http://127.0.0.1:9", "routes": [{"name": "all", "paths": ["/"]}]}],
    "plugins": [DEMO],
}


@pytest.fixture
def traditional(node):
    """A node with a database, started."""
    one = node(database="postgres")
    assert one.kong("migrations", "bootstrap", "-c", one.conf).returncode == 0
    one.plugin(handler=HANDLER % "1.0.0")
    one.start()
    return one


def test_what_it_tells_of_itself(node):
    one = node()
    one.start()
    status, _, told = one.ask("admin", "/")
    assert status == 200
    assert (told["version"], told["edition"], told["hostname"]) == ("3.9.1", "community", "node")
    assert told["plugins"]["available_on_server"]["demo"] == {"version": "1.0.0", "priority": 1000}
    assert told["plugins"]["enabled_in_cluster"] == []
    configuration = told["configuration"]
    assert configuration["plugins"] == ["bundled", "demo"]
    assert configuration["loaded_plugins"]["demo"] is True
    assert configuration["lua_package_path"] == one.properties["lua_package_path"]
    assert len(told["pids"]["workers"]) == 1
    assert str(told["pids"]["master"]) == (one.prefix / "pids/nginx.pid").read_text().strip()
    assert one.ask("status", "/status")[2]["configuration_hash"] == "0" * 32
    assert one.ask("status", "/status/ready")[::2] == (200, {"message": "ready"})


def test_schemas_are_told_and_used(node):
    one = node()
    one.start()
    assert one.ask("admin", "/schemas/plugins/nothing")[::2] == (
        404,
        {"message": "No plugin named 'nothing'"},
    )
    fields = one.ask("admin", "/schemas/plugins/demo")[2]["fields"]
    assert fields == [{"config": {"type": "record", "fields": [{"on": {"type": "boolean"}}]}}]
    validate = "/schemas/plugins/validate"
    good = one.ask("admin", validate, method="POST", body=DEMO)
    assert good[::2] == (200, {"message": "schema validation successful"})
    wrong = one.ask("admin", validate, method="POST", body={"name": "demo", "config": {"on": 1, "off": 2}})
    assert wrong[0] == 400
    assert wrong[2] == {
        "code": 2,
        "name": "schema violation",
        "message": "2 schema violations (config.off: unknown field; config.on: expected a boolean)",
        "fields": {"config": {"on": "expected a boolean", "off": "unknown field"}},
    }
    absent = one.ask("admin", validate, method="POST", body={"name": "absent"})[2]["fields"]["name"]
    assert absent == "plugin 'absent' not enabled; add it to the 'plugins' configuration property"


def test_entities_are_made_changed_and_removed(traditional):
    one = traditional
    service = one.ask("admin", "/services", method="POST", body={"name": "s", "url": "http://127.0.0.1:9"})[2]
    status, _, route = one.ask("admin", "/services/s/routes", method="POST", body={"paths": ["/x"]})
    assert (status, route["service"]) == (201, {"id": service["id"]})
    status, _, made = one.ask("admin", "/services/s/plugins", method="POST", body=DEMO)
    assert (status, made["config"]) == (201, {"on": True})
    again = one.ask("admin", "/services/s/plugins", method="POST", body=DEMO)
    assert (again[0], again[2]["name"]) == (409, "unique constraint violation")
    assert one.ask("proxy", "/x")[1]["x-demo"] == "1.0.0true"
    path = f"/plugins/{made['id']}"
    assert one.ask("admin", path, method="PATCH", body={"config": {"on": False}})[2]["config"] == {
        "on": False
    }
    assert one.ask("proxy", "/x")[1]["x-demo"] == "1.0.0false"
    put = one.ask("admin", "/plugins/mine", method="PUT", body={"name": "demo", "config": {}})
    assert (put[0], put[2]["instance_name"]) == (200, "mine")
    assert [one["name"] for one in one.ask("admin", "/plugins")[2]["data"]] == ["demo", "demo"]
    assert one.ask("admin", "/")[2]["plugins"]["enabled_in_cluster"] == ["demo"]
    refused = one.ask("admin", "/plugins", method="POST", body={"name": "absent"})
    assert (refused[0], refused[2]["code"]) == (400, 2)
    assert one.ask("admin", "/services/s", method="DELETE")[2]["name"] == "foreign key violation"
    assert one.ask("admin", path, method="DELETE")[0] == 204
    assert one.ask("admin", path)[0] == 404
    assert "x-demo" in one.ask("proxy", "/x")[1], "the global one is still there"


def test_without_a_database_the_configuration_comes_whole(node):
    one = node()
    one.plugin(handler=HANDLER % "1.0.0")
    one.start()
    assert one.ask("admin", "/plugins", method="POST", body=DEMO)[2]["code"] == 12
    assert one.ask("proxy", "/")[2]["message"] == "no Route matched with those values"
    assert one.ask("admin", "/config", method="POST", body=EVERYWHERE)[0] == 201
    assert one.ask("proxy", "/")[1]["x-demo"] == "1.0.0true"
    assert one.ask("status", "/status")[2]["configuration_hash"] != "0" * 32
    absent = {**EVERYWHERE, "plugins": [{"name": "absent"}]}
    status, _, told = one.ask("admin", "/config", method="POST", body=absent)
    assert (status, told["name"]) == (400, "invalid declarative configuration")
    assert one.ask("proxy", "/")[1]["x-demo"] == "1.0.0true", "the old one goes on"


def test_a_broken_api_makes_every_request_fail_and_a_good_one_serves(node, eventually):
    one = node()
    one.plugin(api="return {")
    one.start()
    assert one.ask("admin", "/")[0] == 500
    assert one.ask("status", "/status")[0] == 200
    one.plugin(
        api="return { ['/demo/:name'] = { GET = function(self) return kong.response.exit(200, self.params) end } }",
        status_api="return { ['/demo'] = { GET = function() return kong.response.exit(200, { ok = true }) end } }",
    )
    one.kong("reload", "-c", one.conf)
    eventually(lambda: one.ask("admin", "/demo/a%20b")[::2] == (200, {"name": "a b"}))
    eventually(lambda: one.ask("status", "/demo")[::2] == (200, {"ok": True}))


def test_a_broken_status_api_hurts_status_alone(node):
    one = node()
    one.plugin(status_api="return {")
    one.start()
    assert one.ask("status", "/status")[0] == 500
    assert one.ask("status", "/status/ready")[0] == 200
    assert one.ask("admin", "/status")[0] == 200


def test_a_node_that_does_not_list_a_plugin_in_use_cannot_start(traditional, node, eventually):
    other = node("other", database="postgres")
    other.plugin(handler=HANDLER % "1.0.0")
    other.start()
    traditional.ask("admin", "/services", method="POST", body={"name": "s", "url": "http://127.0.0.1:9"})
    traditional.ask("admin", "/services/s/routes", method="POST", body={"paths": ["/"]})
    traditional.ask("admin", "/plugins", method="POST", body=DEMO)
    eventually(lambda: other.ask("proxy", "/")[1].get("x-demo") == "1.0.0true")
    other.kong("stop", "-p", str(other.prefix))
    other.configure(plugins="bundled")
    done = other.kong("start", "-c", other.conf)
    assert (done.returncode, "demo plugin is in use but not enabled" in done.stderr) == (1, True)


def test_migrations_are_run_from_one_node(node):
    one = node(database="postgres")
    assert "Database needs bootstrapping" in one.kong("start", "-c", one.conf).stderr
    assert one.kong("migrations", "list", "-c", one.conf).returncode == 3
    one.kong("migrations", "bootstrap", "-c", one.conf)
    migrations = one.tree / "share/lua/5.1/kong/plugins/demo/migrations"
    migrations.mkdir()
    (migrations / "init.lua").write_text("return { '000_base' }")
    (migrations / "000_base.lua").write_text("return { postgres = { up = 'select 1' } }")
    assert one.kong("migrations", "list", "-c", one.conf).returncode == 5
    assert "New migrations available; run 'kong migrations up'" in one.kong("start", "-c", one.conf).stderr
    assert "demo migrated up to:  000_base" in one.kong("migrations", "up", "-c", one.conf).stdout
    assert one.kong("migrations", "list", "-c", one.conf).returncode == 0
    one.start()


def test_a_wrong_migration_makes_the_bootstrap_fail(node):
    one = node(database="postgres")
    migrations = one.tree / "share/lua/5.1/kong/plugins/demo/migrations"
    migrations.mkdir()
    (migrations / "init.lua").write_text("return { '000_base' }")
    done = one.kong("migrations", "bootstrap", "-c", one.conf)
    assert (done.returncode, "failed to load migration '000_base'" in done.stderr) == (1, True)
    assert one.kong("migrations", "list", "-c", one.conf).returncode == 3


@pytest.fixture
def hybrid(node, eventually):
    """A control plane with the plugin configured, and a function that makes data planes of it."""
    control = node("control", role="control_plane", database="postgres", proxy_listen="off")
    port = control.ports["proxy"]
    control.configure(cluster_listen=f"127.0.0.1:{port}")
    assert control.kong("migrations", "bootstrap", "-c", control.conf).returncode == 0
    control.plugin(handler=HANDLER % "1.1.0")
    control.start()

    def data_plane(name, **properties):
        return node(
            name,
            role="data_plane",
            cluster_control_plane=f"127.0.0.1:{port}",
            admin_listen="off",
            **properties,
        )

    return control, data_plane


def planes(control):
    return {plane["hostname"]: plane for plane in control.ask("admin", "/clustering/data-planes")[2]["data"]}


def configure(control):
    control.ask("admin", "/services", method="POST", body={"name": "s", "url": "http://127.0.0.1:9"})
    control.ask("admin", "/services/s/routes", method="POST", body={"paths": ["/"]})
    assert control.ask("admin", "/plugins", method="POST", body=DEMO)[0] == 201


def test_a_data_plane_with_the_plugin_gets_the_configuration(hybrid, eventually):
    control, data_plane = hybrid
    plane = data_plane("plane")
    plane.plugin(handler=HANDLER % "1.1.7")
    plane.start()
    assert plane.ask("status", "/status/ready")[0] == 503
    configure(control)
    eventually(lambda: plane.ask("status", "/status/ready")[0] == 200)
    assert plane.ask("proxy", "/")[1]["x-demo"] == "1.1.7true"
    eventually(lambda: planes(control)["plane"]["config_hash"] != "0" * 32)
    told = planes(control)["plane"]
    assert (told["sync_status"], told["version"], told["ip"]) == ("normal", "3.9.1", "127.0.0.1")
    assert told["config_hash"] == plane.ask("status", "/status")[2]["configuration_hash"]
    assert "plugins" not in told
    assert control.ask("admin", "/clustering/status")[2][told["id"]]["hostname"] == "plane"


@pytest.mark.parametrize(
    ("plugins", "version", "status"),
    [
        ("bundled", None, "plugin_set_incompatible"),
        ("bundled,demo", "1.2.0", "plugin_version_incompatible"),
        ("bundled,demo", "2.1.0", "plugin_version_incompatible"),
        ("bundled,demo", "1.0.0", "normal"),
        ("bundled,demo", "9.9", "normal"),
    ],
)
def test_the_gates_of_a_control_plane(hybrid, eventually, plugins, version, status):
    control, data_plane = hybrid
    configure(control)
    plane = data_plane("plane", plugins=plugins)
    if version is not None:
        plane.plugin(handler=HANDLER % version)
    assert plane.kong("start", "-c", plane.conf).returncode == 0, "the start itself goes well"
    eventually(lambda: planes(control).get("plane", {}).get("sync_status") == status)
    if status == "normal":
        eventually(lambda: plane.ask("proxy", "/")[0] == 200)
    else:
        assert plane.ask("proxy", "/")[0] == 404, "nothing at all is pushed"
        assert "unable to send updated configuration to data plane" in control.log()


def test_a_newer_data_plane_is_refused(hybrid, node, eventually):
    control, _ = hybrid
    newer = node(
        "newer",
        version="3.10.0",
        role="data_plane",
        admin_listen="off",
        cluster_control_plane=control.properties["cluster_listen"],
    )
    newer.start()
    eventually(lambda: planes(control).get("newer", {}).get("sync_status") == "kong_version_incompatible")


def test_a_default_that_the_data_plane_does_not_know_is_refused_there(hybrid, eventually):
    control, data_plane = hybrid
    plane = data_plane("plane")
    plane.start()
    field = "{ %s = { type = 'string'%s } }"
    schema = "return { name = 'demo', fields = { { config = { type = 'record', fields = { { on = { type = 'boolean' } }, %s } } } } }"
    control.plugin(schema=schema % (field % ("text", ", default = 'x'")))
    (worker,) = control.workers()
    control.kong("reload", "-c", control.conf)
    eventually(lambda: not Path(f"/proc/{worker}").exists())
    configure(control)
    eventually(lambda: "bad config received from control plane" in plane.log())
    assert plane.ask("proxy", "/")[0] == 404


def test_a_data_plane_that_lags_and_one_that_died_stay_in_the_list(hybrid, eventually):
    control, data_plane = hybrid
    plane = data_plane("plane")
    plane.start()
    eventually(lambda: "plane" in planes(control))
    plane.stop()
    assert "plane" in planes(control)
    late = data_plane("late", standin_lag=2)
    late.start()
    assert "late" not in planes(control)
    eventually(lambda: "late" in planes(control))


def test_only_a_control_plane_knows_data_planes(node):
    one = node()
    one.start()
    assert one.ask("admin", "/clustering/data-planes")[0] == 400
