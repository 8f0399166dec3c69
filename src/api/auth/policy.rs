//! The policy: which roles may do what, in the rule names and the language of the original.
//!
//! A rule is `role:NAME`, `rule:NAME`, `ATTRIBUTE:VALUE`, `@` or nothing (always), `!` (never),
//! joined with `and`, `or`, `not` and parentheses. `%(project_id)s` is the project in the address;
//! attributes are those of the token: `project_id`, `user_id`, `client_id`.

use super::caller::Caller;
use std::collections::BTreeMap;

/// The rules that hold where no file says otherwise.
const USUAL: &[(&str, &str)] = &[
    ("admin", "role:admin"),
    ("admin_or_service", "role:admin or role:service"),
    ("member", "role:member and project_id:%(project_id)s"),
    ("reader", "role:reader and project_id:%(project_id)s"),
    // A token for one node: its registration, its jobs, its backups. The resources see to it that
    // they are its own.
    ("node", "role:node and project_id:%(project_id)s"),
    (
        "read",
        "rule:admin_or_service or rule:member or rule:reader",
    ),
    ("node_reads", "rule:read or rule:node"),
    ("write", "rule:admin or rule:member"),
    ("node_writes", "rule:write or rule:node"),
    ("backups:get_all", "rule:node_reads"),
    ("backups:get", "rule:node_reads"),
    (
        "backups:create",
        "rule:admin_or_service or rule:node_writes",
    ),
    (
        "backups:update",
        "rule:admin_or_service or rule:node_writes",
    ),
    ("backups:delete", "rule:admin_or_service or rule:member"),
    ("clients:get_all", "rule:node_reads"),
    ("clients:get", "rule:node_reads"),
    ("clients:create", "rule:node_writes"),
    ("clients:create_central", "rule:admin_or_service"),
    ("clients:delete", "rule:write"),
    ("jobs:get_all", "rule:node_reads"),
    ("jobs:get_all_projects", "rule:admin_or_service"),
    ("jobs:get", "rule:node_reads"),
    ("jobs:create", "rule:write"),
    ("jobs:update", "rule:node_writes"),
    ("jobs:delete", "rule:write"),
    ("jobs:event:create", "rule:write"),
    ("actions:get_all", "rule:node_reads"),
    ("actions:get", "rule:node_reads"),
    ("actions:create", "rule:write"),
    ("actions:update", "rule:write"),
    ("actions:replace", "rule:write"),
    ("actions:delete", "rule:write"),
    ("sessions:get_all", "rule:node_reads"),
    ("sessions:get", "rule:node_reads"),
    ("sessions:create", "rule:write"),
    ("sessions:update", "rule:write"),
    ("sessions:replace", "rule:write"),
    ("sessions:delete", "rule:write"),
    ("sessions:action:create", "rule:node_writes"),
    ("sessions:job:add", "rule:write"),
    ("sessions:job:remove", "rule:write"),
];

/// How deep rules can lean on rules.
const DEEPEST: usize = 32;

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// A line is no `"name": "rule"`.
    #[error("line {0} is not `\"name\": \"rule\"`")]
    Line(usize),
    /// A rule cannot be read.
    #[error("the rule {0} cannot be read")]
    Rule(String),
    /// A rule names one that is not there.
    #[error("the rule {0} names the rule {1}, which does not exist")]
    Unknown(String, String),
    /// Rules lean on each other in a circle.
    #[error("the rule {0} refers to itself")]
    Circle(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PolicyCheck {
    Always,
    Never,
    Rule(String),
    Role(String),
    Attribute(String, String),
    Not(Box<PolicyCheck>),
    All(Vec<PolicyCheck>),
    Any(Vec<PolicyCheck>),
}

/// All rules.
#[derive(Debug)]
pub(in crate::api) struct AccessPolicy {
    rules: BTreeMap<String, PolicyCheck>,
}

impl AccessPolicy {
    /// The usual rules, with those of a file in their place: lines `"name": "rule"`, as YAML and
    /// JSON have them.
    pub(in crate::api) fn new(file: Option<&str>) -> Result<Self, PolicyError> {
        let mut rules = BTreeMap::new();
        let usual = USUAL
            .iter()
            .map(|(name, rule)| ((*name).to_owned(), (*rule).to_owned()));
        for (name, rule) in usual.chain(file.map(lines).transpose()?.unwrap_or_default()) {
            let check = parse(&rule).ok_or_else(|| PolicyError::Rule(name.clone()))?;
            rules.insert(name, check);
        }
        let policy = Self { rules };
        for (name, check) in &policy.rules {
            policy.resolve(name, check, 0)?;
        }
        Ok(policy)
    }

    fn resolve(&self, name: &str, check: &PolicyCheck, depth: usize) -> Result<(), PolicyError> {
        if depth > DEEPEST {
            return Err(PolicyError::Circle(name.to_owned()));
        }
        match check {
            PolicyCheck::Rule(other) => {
                let check = self
                    .rules
                    .get(other)
                    .ok_or_else(|| PolicyError::Unknown(name.to_owned(), other.clone()))?;
                self.resolve(name, check, depth + 1)
            }
            PolicyCheck::Not(inner) => self.resolve(name, inner, depth + 1),
            PolicyCheck::All(parts) | PolicyCheck::Any(parts) => parts
                .iter()
                .try_for_each(|part| self.resolve(name, part, depth + 1)),
            PolicyCheck::Always
            | PolicyCheck::Never
            | PolicyCheck::Role(_)
            | PolicyCheck::Attribute(..) => Ok(()),
        }
    }

    /// Whether he may do that to what belongs to `project`. An unknown rule allows nothing.
    pub(in crate::api) fn allows(&self, rule: &str, identity: &Caller, project: &str) -> bool {
        self.rules
            .get(rule)
            .is_some_and(|check| self.holds(check, identity, project))
    }

    fn holds(&self, check: &PolicyCheck, identity: &Caller, project: &str) -> bool {
        match check {
            PolicyCheck::Always => true,
            PolicyCheck::Never => false,
            PolicyCheck::Rule(name) => self.allows(name, identity, project),
            PolicyCheck::Role(role) => identity
                .roles
                .iter()
                .any(|has| has.eq_ignore_ascii_case(role)),
            PolicyCheck::Attribute(name, wanted) => {
                let wanted = if wanted == "%(project_id)s" {
                    project
                } else {
                    wanted
                };
                let has = match name.as_str() {
                    "project_id" | "tenant_id" => Some(identity.project_id.as_str()),
                    "user_id" => Some(identity.user_id.as_str()),
                    "client_id" => identity.client_id.as_deref(),
                    _ => None,
                };
                !wanted.is_empty() && has == Some(wanted)
            }
            PolicyCheck::Not(inner) => !self.holds(inner, identity, project),
            PolicyCheck::All(parts) => parts.iter().all(|part| self.holds(part, identity, project)),
            PolicyCheck::Any(parts) => parts.iter().any(|part| self.holds(part, identity, project)),
        }
    }
}

fn lines(text: &str) -> Result<Vec<(String, String)>, PolicyError> {
    let mut rules = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let line = line.strip_suffix(',').unwrap_or(line);
        if line.is_empty() || line.starts_with('#') || ["{", "}", "---", "{}"].contains(&line) {
            continue;
        }
        let (name, rest) = quoted(line).ok_or(PolicyError::Line(number))?;
        let rule = rest
            .trim_start()
            .strip_prefix(':')
            .ok_or(PolicyError::Line(number))?
            .trim();
        let (rule, rest) = quoted(rule).ok_or(PolicyError::Line(number))?;
        if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
            return Err(PolicyError::Line(number));
        }
        rules.push((name, rule));
    }
    Ok(rules)
}

/// A text in quotes at the beginning, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inside, rest) = text[1..].split_once(quote)?;
    Some((inside.to_owned(), rest))
}

fn parse(rule: &str) -> Option<PolicyCheck> {
    let spaced = spaced(rule);
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.is_empty() {
        return Some(PolicyCheck::Always);
    }
    if words.len() > 1000 {
        return None;
    }
    let mut at = 0;
    let check = any(&words, &mut at, 0)?;
    (at == words.len()).then_some(check)
}

/// Parentheses apart from words, but not those of `%(project_id)s`.
fn spaced(rule: &str) -> String {
    rule.replace("%(project_id)s", "%project%")
        .replace("%(tenant_id)s", "%project%")
        .replace('(', " ( ")
        .replace(')', " ) ")
}

fn any(words: &[&str], at: &mut usize, depth: usize) -> Option<PolicyCheck> {
    let mut parts = vec![all(words, at, depth)?];
    while words
        .get(*at)
        .is_some_and(|word| word.eq_ignore_ascii_case("or"))
    {
        *at += 1;
        parts.push(all(words, at, depth)?);
    }
    Some(if parts.len() == 1 {
        parts.remove(0)
    } else {
        PolicyCheck::Any(parts)
    })
}

fn all(words: &[&str], at: &mut usize, depth: usize) -> Option<PolicyCheck> {
    let mut parts = vec![single(words, at, depth)?];
    while words
        .get(*at)
        .is_some_and(|word| word.eq_ignore_ascii_case("and"))
    {
        *at += 1;
        parts.push(single(words, at, depth)?);
    }
    Some(if parts.len() == 1 {
        parts.remove(0)
    } else {
        PolicyCheck::All(parts)
    })
}

fn single(words: &[&str], at: &mut usize, depth: usize) -> Option<PolicyCheck> {
    if depth > DEEPEST {
        return None;
    }
    let word = *words.get(*at)?;
    *at += 1;
    if word.eq_ignore_ascii_case("not") {
        return Some(PolicyCheck::Not(Box::new(single(words, at, depth + 1)?)));
    }
    match word {
        "(" => {
            let inner = any(words, at, depth + 1)?;
            let closed = words.get(*at) == Some(&")");
            *at += 1;
            closed.then_some(inner)
        }
        "@" => Some(PolicyCheck::Always),
        "!" => Some(PolicyCheck::Never),
        _ => {
            let (kind, value) = word.split_once(':')?;
            let value = value.replace("%project%", "%(project_id)s");
            match kind {
                "rule" => Some(PolicyCheck::Rule(value)),
                "role" => Some(PolicyCheck::Role(value)),
                "project_id" | "tenant_id" | "user_id" | "client_id" => {
                    Some(PolicyCheck::Attribute(kind.to_owned(), value))
                }
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Caller;
    use super::{AccessPolicy, PolicyError};

    fn with(role: &str, project: &str) -> Caller {
        Caller {
            roles: vec![role.to_owned()],
            project_id: project.to_owned(),
            ..Caller::default()
        }
    }

    #[test]
    fn the_usual_rules_are_those_of_the_original() {
        let policy = AccessPolicy::new(None).expect("they can be read");
        for (role, project, rule, may) in [
            ("admin", "other", "jobs:get", true),
            ("service", "other", "jobs:get_all_projects", true),
            ("member", "mine", "jobs:create", true),
            ("Member", "mine", "jobs:create", true),
            ("member", "other", "jobs:get", false),
            ("member", "mine", "jobs:get_all_projects", false),
            ("member", "mine", "clients:create_central", false),
            ("reader", "mine", "backups:get_all", true),
            ("reader", "mine", "backups:create", false),
            ("service", "other", "backups:create", true),
            ("service", "other", "jobs:create", false),
            ("node", "mine", "jobs:update", true),
            ("node", "mine", "jobs:create", false),
            ("nobody", "mine", "jobs:get", false),
        ] {
            assert_eq!(
                policy.allows(rule, &with(role, project), "mine"),
                may,
                "{role} of {project}: {rule}"
            );
        }
    }

    #[test]
    fn a_file_overrides_rules() {
        let file = "# ours\n\"jobs:get\": \"not (role:member or role:x) and @\"\
            \n'extra': '!' # never\n\"jobs:delete\": \"\"\n";
        let policy = AccessPolicy::new(Some(file)).expect("it can be read");
        assert!(!policy.allows("jobs:get", &with("member", "mine"), "mine"));
        assert!(policy.allows("jobs:get", &with("reader", "mine"), "mine"));
        assert!(!policy.allows("extra", &with("admin", "mine"), "mine"));
        assert!(policy.allows("jobs:delete", &with("nobody", "x"), "mine"));
        assert!(
            AccessPolicy::new(Some(
                "{\n  \"jobs:get\": \"role:x\",\n  \"jobs:create\": \"role:y\"\n}\n"
            ))
            .is_ok()
        );
    }

    #[test]
    fn a_wrong_file_is_refused_and_said_where() {
        for (file, error) in [
            ("jobs:get role:x", PolicyError::Line(1)),
            ("\"a\": \"role:x or\"", PolicyError::Rule("a".into())),
            ("\"a\": \"(role:x\"", PolicyError::Rule("a".into())),
            (
                "\"a\": \"rule:b\"",
                PolicyError::Unknown("a".into(), "b".into()),
            ),
            (
                "\"a\": \"rule:b\"\n\"b\": \"rule:a\"",
                PolicyError::Circle("a".into()),
            ),
        ] {
            assert_eq!(AccessPolicy::new(Some(file)).err(), Some(error), "{file}");
        }
    }

    #[test]
    fn a_token_without_a_project_is_of_no_project() {
        let policy = AccessPolicy::new(None).expect("they can be read");
        assert!(!policy.allows("jobs:get", &with("member", ""), ""));
    }
}
