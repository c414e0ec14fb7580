"""Throwaway RabbitMQ nodes for tests and benchmarks, to be started, stopped, killed and frozen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

from yarl import URL

__all__ = ["DockerNode", "NoRabbitMQ", "RabbitNode", "find_rabbitmq", "free_port", "install"]


_START_SECONDS: Final = 300
_CONFIG: Final = """
listeners.tcp.1 = 127.0.0.1:{port}
log.file = false
log.console.level = warning
disk_free_limit.absolute = 1MB
raft.wal_max_size_bytes = 16777216
"""
_FRESH_VHOSTS: Final = """
    [rabbit_vhost:delete(V, <<"tests">>) || V <- rabbit_vhost:list_names(), V =/= <<"/">>, V =/= <<"{kept}">>],
    [begin
        ok = rabbit_vhost:add(V, <<"tests">>),
        rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
    end || V <- [{vhosts}]].
"""
_VHOSTS_AT_A_TIME: Final = 16
"""Those that are not needed any more are deleted with the next so many."""


class NoRabbitMQ(Exception):
    """No RabbitMQ can be had on this machine."""


class RabbitNode:
    """One throwaway node with directories, ports, cookie and epmd of its own. Ends with this process, however that ends.

    `with RabbitNode() as node:` starts it; `node.url` is its address. The other methods are for tests that break it.
    """

    def __init__(self, *, epmd_port: int | None = None, cookie: str | None = None, plugins: str = "[].") -> None:
        """`plugins` is what stands in enabled_plugins.

        `epmd_port` and `cookie`: what the nodes of a cluster share; then somebody else starts the name server.
        """
        self.port, self._dist_port, own_epmd_port = _free_ports(3)
        self._epmd_port = epmd_port or own_epmd_port
        self._plugins = plugins
        self._has_epmd = epmd_port is None
        self.more_config = ""
        """Lines that the configuration has besides."""
        self._folder = Path(tempfile.mkdtemp(prefix="batchbus-rabbitmq-"))
        if cookie is not None:
            place = self._folder / ".erlang.cookie"
            place.write_text(cookie)
            place.chmod(0o400)
        self._epmd: _Process | None = None
        self._server: _Process | None = None
        self._fresh_vhosts: list[str] = []
        self._last_vhost = ""

    def __enter__(self) -> RabbitNode:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def epmd_port(self) -> int:
        """Where the name server listens that knows this node's port."""
        return self._epmd_port

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def name(self) -> str:
        """As Erlang has it."""
        return f"batchbus-{self.port}@localhost"

    def start(self) -> None:
        """Start it, unless it runs, and wait until it takes connections."""
        if self._server is not None:
            return
        (self._folder / "rabbitmq.conf").write_text(_CONFIG.format(port=self.port) + self.more_config)
        (self._folder / "plugins").write_text(self._plugins)
        (self._folder / "env.conf").touch()
        if self._epmd is None and self._has_epmd:
            epmd = [_required("epmd"), "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = _Process(epmd, self._environment, self._folder)
        self._server = _Process([_required("rabbitmq-server")], self._environment, self._folder)
        _wait_for_amqp(self.port, self._server)

    def stop(self) -> None:
        """Shut it down in good order; what it had to keep is there after the next `start`."""
        if self._server is not None:
            self._server.end(signal.SIGTERM)
            self._server = None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._server is not None:
            self._server.end(signal.SIGKILL)
            self._server = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open, and nothing is answered."""
        assert self._server is not None
        self._server.send(signal.SIGSTOP)

    def resume(self) -> None:
        if self._server is not None:
            self._server.send(signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints for these arguments."""
        return _output([_required("rabbitmqctl"), "--quiet", *arguments], self._environment)

    def eval(self, expression: str) -> str:
        """The value of an Erlang expression, evaluated in the node."""
        if not _installed("erl_call"):
            return self.ctl("eval", expression).strip()
        # It is a small program in C. The start of `rabbitmqctl` takes longer than most of what is asked with it.
        answer = _output(
            [_required("erl_call"), "-sname", self.name, "-e"], self._environment, f"{expression.strip()}\n"
        )
        if not answer.startswith("{ok, "):
            raise RuntimeError(f"{self.name} answered {answer}")
        return answer.strip().removeprefix("{ok, ").removesuffix("}")

    @contextlib.contextmanager
    def setting(self, name: str, value: int, default: str) -> Iterator[None]:
        """Give a setting of the application `rabbit` another value for a while."""
        self.eval(f"application:set_env(rabbit, {name}, {value}).")
        try:
            yield
        finally:
            self.eval(f"application:set_env(rabbit, {name}, {default}).")

    def low_memory(self, low: bool) -> None:
        """Whether it takes nothing to publish since it has too little memory."""
        self.eval(f"vm_memory_monitor:set_vm_memory_high_watermark({'0.00001' if low else '0.4'}).")

    def fresh_vhost(self) -> str:
        """The address of a new, empty virtual host; those before the last one are deleted sooner or later."""
        if not self._fresh_vhosts:
            self._fresh_vhosts = [f"test-{uuid4().hex[:12]}" for _ in range(_VHOSTS_AT_A_TIME)]
            names = ", ".join(f'<<"{name}">>' for name in self._fresh_vhosts)
            self.eval(_FRESH_VHOSTS.format(kept=self._last_vhost, vhosts=names))
        self._last_vhost = self._fresh_vhosts.pop()
        return str(URL(self.url).with_path(f"/{self._last_vhost}"))

    def close(self) -> None:
        self.kill()
        if self._epmd is not None:
            self._epmd.end(signal.SIGKILL)
            self._epmd = None
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "env.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            # Waiting schedulers would spin, and take the processor from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            # Makes the script become the server, which then gets our signals itself.
            "RUNNING_UNDER_SYSTEMD": "1",
        }


class DockerNode(RabbitNode):
    """The same in a container."""

    _IMAGE: Final = "rabbitmq:3"

    def start(self) -> None:
        if self._server is not None:
            return
        if not self._created:
            port = f"127.0.0.1:{self.port}:5672"
            _output(["docker", "create", "--name", self._name, "--publish", port, self._IMAGE])
        self._server = _Process(["docker", "start", "--attach", self._name], dict(os.environ), self._folder)
        _wait_for_amqp(self.port, self._server)

    def stop(self) -> None:
        _output(["docker", "stop", self._name])
        super().kill()

    def kill(self) -> None:
        if self._server is not None:
            _output(["docker", "kill", self._name])
        super().kill()

    def pause(self) -> None:
        _output(["docker", "pause", self._name])

    def resume(self) -> None:
        _output(["docker", "unpause", self._name])

    def ctl(self, *arguments: str) -> str:
        return _output(["docker", "exec", self._name, "rabbitmqctl", "--quiet", *arguments])

    def eval(self, expression: str) -> str:
        return self.ctl("eval", expression).strip()

    def close(self) -> None:
        if self._created:
            _output(["docker", "rm", "--force", "--volumes", self._name])
        super().close()

    @property
    def _name(self) -> str:
        return self._folder.name

    @property
    def _created(self) -> bool:
        return bool(_output(["docker", "ps", "--all", "--quiet", "--filter", f"name={self._name}"]))


def find_rabbitmq() -> RabbitNode:
    """A node that can be started on this machine, after installing what it takes. Raises `NoRabbitMQ`."""
    if _installed("rabbitmq-server") is None:
        install("rabbitmq-server", "rabbitmq-server", "amqp-tools")
    if _installed("rabbitmq-server") is not None:
        return RabbitNode()
    if shutil.which("docker"):
        return DockerNode()
    raise NoRabbitMQ("no rabbitmq-server is installed, apt-get cannot install one, and there is no Docker")


class _Process:
    """A child process in a group of its own, with a guard that kills the group when we are gone.

    The guard reads from a pipe that only we hold: however we end, the pipe closes.
    """

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.log = folder / f"{Path(command[0]).name}.log"
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        guard = ["/bin/sh", "-c", f"read -r _; kill -KILL -{self._child.pid}"]
        self._guard = subprocess.Popen(
            guard, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    def end(self, number: signal.Signals) -> None:
        self.send(signal.SIGCONT)
        self.send(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=30)
        self._guard.communicate()
        self._child.wait()


def _installed(command: str) -> str | None:
    """Where the command is. RabbitMQ's own scripts go before Debian's of the same name, which change the user."""
    return shutil.which(command, path=f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}")


def install(command: str, *packages: str) -> None:
    """With apt-get, where that is there and we are root. `command`: what is missing as long as they are."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return
    # At run level 1 Debian leaves the system's own broker stopped.
    apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with (Path(tempfile.gettempdir()) / "batchbus-tests-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the tests may run in several processes
        if _installed(command):
            return
        with contextlib.suppress(subprocess.CalledProcessError):
            _output(["apt-get", "update"], apt)
            _output(["apt-get", "install", "--yes", "--no-install-recommends", *packages], apt)


def _required(command: str) -> str:
    found = _installed(command)
    if found is None:
        raise NoRabbitMQ(f"{command} is not installed")
    return found


def _output(command: list[str], environment: dict[str, str] | None = None, read: str = "") -> str:
    """What a command prints that reads the text `read`."""
    done = subprocess.run(command, env=environment, input=read, check=True, capture_output=True, text=True, timeout=600)
    return done.stdout


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    return _free_ports(1)[0]


def _wait_for_amqp(port: int, server: _Process) -> None:
    """Until the server greets us; a port alone may be Docker's, with nobody behind it yet."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.running:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            if connection.recv(1) == b"\x01":
                return
        time.sleep(0.05)  # the server is another process: tried again
    raise NoRabbitMQ(f"RabbitMQ did not start:\n{server.log.read_text()}")
