#!/usr/bin/python
# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provides PostgreSQL's logins; a new password works beside the old one until it is concluded."""

from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_logins
short_description: Provides logins of PostgreSQL, and changes their passwords without a gap
version_added: 0.1.0
description:
  - Makes logins that administer nothing, all in one call, and looks at databases.
  - PostgreSQL knows one password for a login. Where it is another one than wanted, the module makes a second login with the wanted one, C(NAME.1)
    or C(NAME.2), which acts as the first in all that it does. Both work until O(conclude), which gives the wanted password to the first
    and shuts what has another one.
  - Passwords leave for the server as SCRAM verifiers only.
author: The aisha.bot_stack team (@aisha)
options:
  login_host:
    description: Address of the server.
    type: str
    required: true
  login_port:
    description: Port of the server.
    type: int
    default: 5432
  login_user:
    description: Name of a superuser.
    type: str
    default: postgres
  login_password:
    description: Password of O(login_user).
    type: str
    required: true
  databases:
    description: Databases to look at.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name.
        type: str
        required: true
      owner:
        description: Wanted owner.
        type: str
        required: true
extends_documentation_fragment:
  - aisha.bot_stack.attributes
  - aisha.bot_stack.logins
requirements:
  - psycopg >= 3.1, on the target
attributes:
  check_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Provide the bot's login, with a password that may be new
  aisha.bot_stack.postgres_logins:
    login_host: db.example.com
    login_password: "{{ postgres_superuser_password }}"
    users:
      - {name: aisha, password: "{{ vault_postgres_bot_password }}"}
  register: found

- name: Shut the old one, once the bot runs with the new one
  aisha.bot_stack.postgres_logins:
    login_host: db.example.com
    login_password: "{{ postgres_superuser_password }}"
    users:
      - {name: aisha, password: "{{ vault_postgres_bot_password }}"}
    conclude: true
  when: found.pending
"""

RETURN = r"""
databases:
  description: Those of O(databases) that are missing, another one's, or open to everybody.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name.
      type: str
    owner:
      description: Wanted owner.
      type: str
    found:
      description: Owner that it has; empty where it does not exist.
      type: str
    open:
      description: Whether everybody may connect to it or use its schema C(public). V(true) where it does not exist.
      type: bool
refused:
  description: Whether the server refused the password of O(login_user).
  returned: always
  type: bool
logins:
  description: From the name of each login to the one that works with the wanted password, which is the same one or one beside it.
  returned: success
  type: dict
  sample: {aisha: aisha.1}
pending:
  description: Names of logins that work with another password than the wanted one, until O(conclude).
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.aisha.bot_stack.plugins.module_utils.services import logins

try:
    import psycopg
    from psycopg import sql
except ImportError:
    psycopg = None

DATABASE = """
SELECT pg_get_userbyid(datdba),
       has_database_privilege('public', oid, 'CONNECT, TEMPORARY')
       OR coalesce(has_schema_privilege('public', to_regnamespace('public')::oid, 'CREATE, USAGE'), false)
FROM pg_database WHERE datname = current_database()
"""
FLAGS = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
ROLES = """
SELECT rolname, rolcanlogin, rolpassword,
       rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls
FROM pg_authid WHERE rolname = %(name)s OR rolname LIKE %(like)s
"""


class Server:
    """Statements to one server; none in check mode."""

    def __init__(self, connection, check_mode):
        self.connection = connection
        self.check_mode = check_mode
        self.changed = False
        # Not even a verifier belongs in the server's log.
        connection.execute("SET log_statement = none")
        connection.execute("SET log_min_error_statement = panic")

    def rows(self, query, **arguments):
        return self.connection.execute(query, arguments).fetchall()

    def do(self, statement, *names, password=None):
        self.changed = True
        if self.check_mode:
            return
        arguments = [sql.Identifier(name) for name in names]
        if password is not None:
            verifier = self.connection.pgconn.encrypt_password(
                password.encode("utf-8"), names[0].encode("utf-8"), b"scram-sha-256"
            )
            arguments.append(sql.Literal(verifier.decode("ascii")))
        self.connection.execute(sql.SQL(statement).format(*arguments))


def connect(params, database):
    """A connection to one database of the server. Raises psycopg.Error."""
    return psycopg.connect(
        host=params["login_host"],
        port=params["login_port"],
        user=params["login_user"],
        password=params["login_password"],
        dbname=database,
        connect_timeout=10,
    )


def is_refusal(error, user):
    """Whether the server refuses this user's password: before a session, it gives no code that the client passes on."""
    return 'password authentication failed for user "%s"' % user in str(error)


def look_at(params, wanted):
    """What a database is like; not there, it has no owner."""
    found = {"name": wanted["name"], "owner": wanted["owner"], "found": "", "open": True}
    try:
        with connect(params, wanted["name"]) as connection:
            found["found"], found["open"] = connection.execute(DATABASE).fetchone()
    except psycopg.OperationalError as error:
        if "does not exist" not in str(error):
            raise
    return found


def provide(server, user, conclude):
    """(login that works with the wanted password, logins that work with another one)."""
    name, password = user["name"], user["password"]
    like = name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + ".%"
    roles = {row[0]: row[1:] for row in server.rows(ROLES, name=name, like=like)}
    accepts = {
        login: logins.scram_matches(verifier, password)
        for login, (can_login, verifier, _rights) in roles.items()
        if can_login and (login == name or logins.is_alternate(login, name))
    }
    if name not in roles:
        server.do("CREATE ROLE {} LOGIN " + FLAGS + " PASSWORD {}", name, password=password)
        accepts[name] = True
    else:
        if name not in accepts:
            server.do("ALTER ROLE {} LOGIN PASSWORD {}", name, password=password)
            accepts[name] = True
        if roles[name][2]:
            server.do("ALTER ROLE {} " + FLAGS, name)
    login = logins.choose(name, accepts)
    if login not in accepts:
        if login not in roles:
            server.do("CREATE ROLE {} NOLOGIN " + FLAGS, login)
        # It is the other one in all that it does, and owns nothing itself.
        server.do("GRANT {} TO {}", name, login)
        server.do("ALTER ROLE {} SET role = {}", login, name)
        server.do("ALTER ROLE {} LOGIN PASSWORD {}", login, password=password)
        accepts[login] = True
    pending = logins.leftovers(name, accepts)
    if conclude:
        for old in pending:
            if old == name:
                server.do("ALTER ROLE {} PASSWORD {}", old, password=password)
            else:
                server.do("ALTER ROLE {} NOLOGIN PASSWORD NULL", old)
        pending = []
    return login, pending


def main():
    """Runs the module."""
    module = AnsibleModule(
        argument_spec=dict(
            logins.arguments(password_required=True),
            login_host={"type": "str", "required": True},
            login_port={"type": "int", "default": 5432},
            login_user={"type": "str", "default": "postgres"},
            login_password={"type": "str", "required": True, "no_log": True},
            databases={
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "owner": {"type": "str", "required": True},
                },
            },
        ),
        supports_check_mode=True,
    )
    if psycopg is None:
        module.fail_json(msg=missing_required_lib("psycopg"), refused=False)
    params = module.params
    found, pending = {}, []
    try:
        with connect(params, "postgres") as connection:
            server = Server(connection, module.check_mode)
            for user in params["users"]:
                found[user["name"]], left = provide(server, user, params["conclude"])
                pending += left
        looked = [look_at(params, wanted) for wanted in params["databases"]]
    except psycopg.Error as error:
        module.fail_json(
            msg="Can't provide the logins and databases of PostgreSQL at %s:%d: %s"
            % (params["login_host"], params["login_port"], str(error).strip()),
            refused=is_refusal(error, params["login_user"]),
        )
    module.exit_json(
        changed=server.changed,
        logins=found,
        pending=pending,
        databases=[each for each in looked if each["open"] or each["found"] != each["owner"]],
        refused=False,
    )


if __name__ == "__main__":
    main()
