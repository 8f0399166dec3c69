# Sourced by ./demo, ./run-tests and .ci/run: installs what is missing on a Debian machine, and says
# so.

say() { printf '\n== %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "this needs root, and there is no sudo: $*" >&2
        return 1
    fi
}

apt_is_fresh=

# need PACKAGE...: installs those Debian packages that are not installed.
need() {
    local package status missing=()
    if ! command -v dpkg-query >/dev/null; then
        echo "not a Debian system: please see that these are installed: $*" >&2
        return
    fi
    for package in "$@"; do
        status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages: ${missing[*]}"
    if [ -z "$apt_is_fresh" ]; then
        as_root apt-get -qq update
        apt_is_fresh=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o Dpkg::Use-Pty=0 install \
        --no-install-recommends "${missing[@]}" >&2
}

rust_is_new_enough() {
    local want have
    want=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    have=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    [ -n "$have" ] && [ "$(printf '%s\n' "$want" "$have" | sort -V | head -1)" = "$want" ]
}

# need_rust: cargo and a compiler as new as Cargo.toml asks for, plus a C compiler for the
# compression libraries.
need_rust() {
    need build-essential
    [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ] && PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    command -v cargo >/dev/null && rust_is_new_enough && return
    if ! command -v rustup >/dev/null; then
        [ -n "$apt_is_fresh" ] || as_root apt-get -qq update
        apt_is_fresh=yes
        if [ -n "$(apt-cache madison rustup 2>/dev/null)" ]; then
            need rustup
        else
            say "installing rustup for this user (this Debian has no package of it)"
            need curl ca-certificates
            curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs |
                sh -s -- -y --profile minimal --default-toolchain none
            PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
        fi
    fi
    say "installing the stable Rust toolchain"
    rustup toolchain install stable --profile minimal
    rustup default stable
    rust_is_new_enough || {
        echo "the stable toolchain is older than Cargo.toml asks for" >&2
        return 1
    }
}

# need_component NAME...: parts of the toolchain that a minimal one lacks.
need_component() {
    local name
    for name in "$@"; do
        cargo "${name/rustfmt/fmt}" --version >/dev/null 2>&1 || {
            say "installing $name"
            rustup component add "$name"
        }
    done
}
