//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What Neon refuses and what then helps, and what is said while there is something to wait for. */
class NeonTest extends InSandbox {

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            403 | ``                        | not allowed for this key \
                | use an API key that may do this, in SSM parameter /neon/api-key
            403 | ``                        | access from IP 203.0.113.7 is not allowed \
                | let this machine's address into the project's IP Allow list
            403 | IP_ALLOWLIST              | denied \
                | let this machine's address into the project's IP Allow list
            403 | ``                        | this project is managed by Vercel \
                | Vercel manages this project: change this there, or use a project of Neon's own
            422 | ``                        | action not allowed: Vercel-managed project \
                | Vercel manages this project: change this there, or use a project of Neon's own
            404 | ``                        | project not found \
                | check --neon-project-id, and that the API key in SSM parameter /neon/api-key is for this project
            404 | ``                        | role not found                            | check --role-name and --database-name
            404 | ``                        | database not found                        | check --role-name and --database-name
            404 | ``                        | branch not found                          | it was deleted meanwhile: run again
            404 | ``                        | endpoint not found                        | it was deleted meanwhile: run again
            402 | ``                        | payment required \
                | choose a Neon plan that allows this, or leave out the option
            412 | ``                        | precondition failed \
                | choose a Neon plan that allows this, or leave out the option
            422 | ``                        | the feature is not available on your plan \
                | choose a Neon plan that allows this, or leave out the option
            422 | ``                        | suspend interval changing is not allowed for your account \
                | leave out --suspend-timeout, or choose a Neon plan that allows it
            422 | BRANCHES_LIMIT_EXCEEDED   | branches limit exceeded \
                | delete branches, with cleanup-branches for one, or raise the plan's limit
            422 | ROOT_BRANCHES_LIMIT_EXCEEDED | root branches limit exceeded \
                | delete branches, with cleanup-branches for one, or raise the plan's limit
            422 | ``                        | parent branch is not ready yet            | Neon is at work on this project; run again later, or give it longer with --wait
            422 | ``                        | cannot create a branch from a parent that has an expiration \
                | a branch that expires can have no children: name another with --parent-branch
            423 | ``                        | project is locked \
                | Neon is at work on this project; run again later, or give it longer with --wait
            429 | ``                        | too many                                  | run again later
            500 | ``                        | oh no                                     | run again later
            400 | ``                        | annotation is wrong \
                | change what was asked for, or ask Neon's support about the request
            """)
    void says_what_helps_by_what_was_refused(int status, String code, String message, String advice) {
        String answer = Fault.neon(status, code, message).body();
        sandbox.fail("POST", "/branches$", -1, Fault.status(status, answer, Map.of("Retry-After", "3600")));
        Cli.Result result = create();
        assertEquals(1, result.exitCode());
        assertTrue(result.err().endsWith(": Neon answered " + status + (code.isEmpty() ? "" : " " + code) + ", " + message
                + " (request 5f0a6a3e-8f5e-4b6b-9d0c-2f6a1f6f6c11); " + advice + ".\n"), result.err());
    }

    /** A look that fails in its turn would hide the refusal. */
    @ParameterizedTest
    @ValueSource(ints = {401, 402, 403, 404, 412})
    void does_not_look_for_the_branch_after_a_refusal_that_says_nothing_of_it(int status) {
        sandbox.fail("POST", "/branches$", 1, Fault.neon(status, "", "no"));
        assertEquals(1, create().exitCode());
        assertEquals(1, requests("GET", "/branches").size());
    }

    @Test
    void each_kind_of_wait_of_over_a_second_is_said_also_right_after_another_line() {
        sandbox.neon().add(Cli.BRANCH);
        // Both are asked at the same time.
        sandbox.hold("GET", "/(roles|databases)$", 2);
        sandbox.fail("GET", "/roles$", 1, Fault.status(423, "{}", Map.of("Retry-After", "2")));
        sandbox.fail("GET", "/databases$", 1, Fault.status(429, "{}", Map.of("Retry-After", "2")));
        Cli.Result result = create();
        assertEquals(List.of("Neon has had too many requests (429); trying again in 2.x s.", "Neon is at work on this project (423); trying"
                + " again in 2.x s."), result.err().lines().map(line -> line.replaceAll("\\.\\d s", ".x s")).sorted().toList());
        assertEquals(0, result.exitCode());
    }

    @Test
    void a_wait_for_an_operation_is_said_when_it_takes_over_a_second() {
        // Pauses that begin with a tenth of a second and grow by a tenth: 1.3 seconds.
        sandbox.neon().operationsTakePolls(11);
        Cli.Result result = create();
        assertTrue(result.err().startsWith("Waiting for Neon branch '" + Cli.BRANCH + "' to be ready: "), result.err());
        assertEquals(0, result.exitCode());
    }
}
