//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Errors of Neon and what to do about them, and what is printed during a wait. */
class NeonTest extends InSandbox {

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            403 | ``                        | not allowed for this key \
                | use an API key that is allowed to do this, in SSM parameter /neon/api-key
            403 | ``                        | access from IP 203.0.113.7 is not allowed \
                | add this machine's address to the project's IP Allow list
            403 | IP_ALLOWLIST              | denied \
                | add this machine's address to the project's IP Allow list
            403 | ``                        | this project is managed by Vercel \
                | Vercel manages this project: change this in Vercel, or use a Neon project that you manage
            422 | ``                        | action not allowed: Vercel-managed project \
                | Vercel manages this project: change this in Vercel, or use a Neon project that you manage
            404 | ``                        | project not found \
                | check --neon-project-id, and that the API key in SSM parameter /neon/api-key has access to this project
            404 | ``                        | role not found                            | check --role-name and --database-name
            404 | ``                        | database not found                        | check --role-name and --database-name
            404 | ``                        | branch not found                          | it was deleted in the meantime; run again
            404 | ``                        | endpoint not found                        | it was deleted in the meantime; run again
            402 | ``                        | payment required \
                | choose a Neon plan that allows this, or omit the option
            412 | ``                        | storing passwords is not enabled for the project \
                | turn on the storing of role passwords in the project's settings in the Neon Console
            412 | ``                        | precondition failed \
                | choose a Neon plan that allows this, or omit the option
            422 | ``                        | the feature is not available on your plan \
                | choose a Neon plan that allows this, or omit the option
            422 | ``                        | suspend interval changing is not allowed for your account \
                | omit --suspend-timeout, or choose a Neon plan that allows it
            422 | BRANCHES_LIMIT_EXCEEDED   | branches limit exceeded \
                | delete branches, for example with cleanup-branches, or raise the plan's limit
            422 | ROOT_BRANCHES_LIMIT_EXCEEDED | root branches limit exceeded \
                | delete branches, for example with cleanup-branches, or raise the plan's limit
            422 | ``                        | parent branch is not ready yet \
                | Neon is still working on this project; run again later, or increase --wait
            422 | ``                        | cannot create a branch from a parent that has an expiration \
                | a branch that expires cannot have children: choose another parent with --parent-branch
            423 | ``                        | project is locked \
                | Neon is still working on this project; run again later, or increase --wait
            429 | ``                        | too many                                  | run again later
            500 | ``                        | oh no                                     | run again later
            400 | ``                        | annotation is wrong \
                | check the options, or contact Neon support with the request id
            """)
    void says_what_to_do_about_an_error(int status, String code, String message, String advice) {
        String answer = Fault.neon(status, code, message).body();
        sandbox.fail("POST", "/branches$", -1, Fault.status(status, answer, Map.of("Retry-After", "3600")));
        Cli.Result result = create();
        assertEquals(1, result.exitCode());
        assertTrue(result.err().endsWith(": Neon answered " + status + (code.isEmpty() ? "" : " " + code) + ", " + message
                + " (request 5f0a6a3e-8f5e-4b6b-9d0c-2f6a1f6f6c11); " + advice + ".\n"), result.err());
    }

    /** A list that fails, too, would hide the error. */
    @ParameterizedTest
    @ValueSource(ints = {401, 402, 403, 404, 412})
    void does_not_look_for_the_branch_after_an_error_that_does_not_concern_it(int status) {
        sandbox.fail("POST", "/branches$", 1, Fault.neon(status, "", "no"));
        assertEquals(1, create().exitCode());
        assertEquals(1, requests("GET", "/branches$").size());
    }

    @Test
    void each_retry_after_more_than_a_second_is_printed() {
        sandbox.neon().add(Cli.BRANCH);
        // Both are requested in parallel.
        sandbox.hold("GET", "/(roles|databases)$", 2);
        sandbox.fail("GET", "/roles$", 1, Fault.status(423, "{}", Map.of("Retry-After", "2")));
        sandbox.fail("GET", "/databases$", 1, Fault.status(429, "{}", Map.of("Retry-After", "2")));
        Cli.Result result = create();
        assertEquals(List.of("Neon is still working on this project (423). Retrying in 2.x s.",
                "Too many requests to Neon (429). Retrying in 2.x s."),
                result.err().lines().map(line -> line.replaceAll("\\.\\d s", ".x s")).sorted().toList());
        assertEquals(0, result.exitCode());
    }

    @ParameterizedTest
    @ValueSource(ints = {-4, 4})
    void expiries_count_from_neons_clock(int days) {
        sandbox.clockSkew(Duration.ofDays(days));
        sandbox.neon().add(SandboxAws.APP_ID + "-gone");
        assertEquals(0, create("--expires-in", "1d").exitCode());
        assertEquals(0, cleanUp("--grace", "3d").exitCode());
        for (String expected : List.of("feature/login 1", "gone 3")) {
            Instant expiresAt = sandbox.neon().branch(SandboxAws.APP_ID + "-" + expected.replaceFirst(" .*", "")).expiresAt;
            Duration late = Duration.between(expiresAt, Instant.now().plus(Duration.ofDays(days + Long.parseLong(expected.split(" ")[1]))));
            assertTrue(late.abs().toMinutes() < 2, expiresAt::toString);
        }
        sandbox.neon().branch(Cli.BRANCH).expiresAt(Instant.now().plus(Duration.ofDays(days)).minusSeconds(5));
        assertTrue(create().err().contains("' expired on "));
    }

    @Test
    void a_wait_for_an_operation_is_printed_after_a_second() {
        // The pauses start at 0.1 s and grow by a tenth of the time: 1.3 s in total.
        sandbox.neon().operationsTakePolls(11);
        Cli.Result result = create();
        assertTrue(result.err().startsWith("Waiting until Neon branch '" + Cli.BRANCH + "' is ready: "), result.err());
        assertEquals(0, result.exitCode());
    }
}
