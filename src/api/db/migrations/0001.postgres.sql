-- PostgreSQL. A resource is a document; key_* are numbers that stand for values inside it (src/api/db/facts.rs).

CREATE TABLE clients (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    central BIGINT,
    key_hostname BIGINT NOT NULL,
    key_uuid BIGINT NOT NULL,
    document TEXT NOT NULL,
    facts TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (project_id, id)
);
CREATE INDEX clients_in_order ON clients (project_id, created_us, id);
CREATE INDEX clients_by_id ON clients (id);
CREATE INDEX clients_by_hostname ON clients (project_id, key_hostname, created_us, id);
CREATE INDEX clients_by_uuid ON clients (project_id, key_uuid, created_us, id);

CREATE TABLE actions (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    document TEXT NOT NULL,
    facts TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX actions_in_order ON actions (project_id, created_us, id);

CREATE TABLE jobs (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    key_client_id BIGINT NOT NULL,
    key_status BIGINT NOT NULL,
    key_session_id BIGINT NOT NULL,
    client_project TEXT NOT NULL,
    document TEXT NOT NULL,
    facts TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX jobs_in_order ON jobs (project_id, created_us, id);
CREATE INDEX jobs_by_client_id ON jobs (project_id, key_client_id, created_us, id);
CREATE INDEX jobs_by_session_id ON jobs (project_id, key_session_id, created_us, id);
CREATE INDEX jobs_of_client ON jobs (key_client_id, created_us, id);

CREATE TABLE sessions (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    time_start BIGINT,
    key_status BIGINT NOT NULL,
    document TEXT NOT NULL,
    facts TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX sessions_in_order ON sessions (project_id, created_us, id);
CREATE INDEX sessions_by_status ON sessions (project_id, key_status, created_us, id);
CREATE INDEX sessions_under_way ON sessions (key_status, time_start);

CREATE TABLE backups (
    id TEXT NOT NULL,
    project_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    time_stamp BIGINT,
    key_hostname BIGINT NOT NULL,
    key_backup_name BIGINT NOT NULL,
    key_job_id BIGINT NOT NULL,
    key_container BIGINT NOT NULL,
    document TEXT NOT NULL,
    facts TEXT NOT NULL,
    words TEXT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX backups_in_order ON backups (project_id, created_us, id);
CREATE INDEX backups_by_hostname ON backups (project_id, key_hostname, created_us, id);
CREATE INDEX backups_by_backup_name ON backups (project_id, key_backup_name, created_us, id);
CREATE INDEX backups_by_job_id ON backups (project_id, key_job_id, created_us, id);
CREATE INDEX backups_by_container ON backups (project_id, key_container, created_us, id);
CREATE INDEX backups_by_time ON backups (project_id, time_stamp);

CREATE TABLE job_actions (
    job_id TEXT NOT NULL,
    action_id TEXT NOT NULL,
    PRIMARY KEY (job_id, action_id)
);
CREATE INDEX job_actions_of_action ON job_actions (action_id);

CREATE TABLE users (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    project_id TEXT NOT NULL,
    roles TEXT NOT NULL,
    password TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE tokens (
    digest TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    project_id TEXT NOT NULL,
    roles TEXT NOT NULL,
    client_id TEXT NOT NULL,
    comment TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    PRIMARY KEY (digest)
);
CREATE INDEX tokens_by_id ON tokens (id);
CREATE INDEX tokens_of_user ON tokens (user_id);
CREATE UNIQUE INDEX users_by_name ON users (name);
