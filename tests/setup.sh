# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Functions for the scripts that must work on a bare machine: tests/run, bench/run, .ci/run.
# Sourcing this file does nothing else.

# dp_need_packages PACKAGE...: installs those that are missing with apt-get, through sudo when not
# root. A package counts as present when dpkg knows it, or when there is a command of its name.
# Returns 2 with a message when something is missing and cannot be installed from here.
dp_need_packages() {
    local package missing=() as_root=()
    for package in "$@"; do
        command -v "$package" >/dev/null && continue
        dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    if ! command -v apt-get >/dev/null; then
        echo "This is not Debian or Ubuntu, so nothing was installed. If the build fails, look for" \
            "what these packages hold: ${missing[*]}" >&2
        return 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        # Without a terminal nobody can type sudo's password.
        if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
            echo "Packages are missing; installing them needs root or sudo. Please run as root:" >&2
            echo "    apt-get install ${missing[*]}" >&2
            return 2
        fi
        as_root=(sudo)
    fi

    echo "Installing ${missing[*]}"
    # A source that cannot be reached is no reason to stop: what is needed may come from another.
    "${as_root[@]}" apt-get -qq update || true
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 \
        --no-install-recommends install "${missing[@]}" </dev/null >/dev/null || {
        echo "apt-get could not install: ${missing[*]}" >&2
        return 2
    }
}
