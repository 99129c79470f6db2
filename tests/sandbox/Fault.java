import java.util.Map;

/**
 * A way for a request to the sandbox to fail, as on a bad network or behind a bad proxy.
 *
 * @param acts whether the request is processed before it fails
 * @param status the status of an answer that replaces the real one, followed by its body and headers
 */
record Fault(Kind kind, boolean acts, int status, String body, Map<String, String> headers) {

    enum Kind { NONE, ANSWER, RESET, RESTART, CUT, STALL, DRIP, HANG, INTERIM }

    static final Fault NONE = new Fault(Kind.NONE, true);

    private Fault(Kind kind, boolean acts) {
        this(kind, acts, 0, "", Map.of());
    }

    /** Answers with this status and body instead of processing the request. */
    static Fault status(int status, String body, Map<String, String> headers) {
        return new Fault(Kind.ANSWER, false, status, body, headers);
    }

    /** Answers with an error in the form of Neon's API instead of processing the request. */
    static Fault neon(int status, String code, String message) {
        return status(status, """
                {"request_id":"5f0a6a3e-8f5e-4b6b-9d0c-2f6a1f6f6c11","code":"%s","message":"%s"}""".formatted(code, message), Map.of());
    }

    /** Answers as Neon does while other operations run in the project. */
    static Fault locked() {
        return neon(423, "", "project already has running conflicting operations, scheduling of new ones is prohibited");
    }

    /** Resets the connection instead of processing the request. */
    static Fault resetBefore() {
        return new Fault(Kind.RESET, false);
    }

    /** Processes the request, then resets the connection, so that the answer is lost. */
    static Fault resetAfter() {
        return new Fault(Kind.RESET, true);
    }

    /** Processes the request, sends half of the answer's body, and closes the connection. */
    static Fault cut() {
        return new Fault(Kind.CUT, true);
    }

    /** Closes all connections instead of processing the request, and refuses new ones for a moment, like a server that restarts. */
    static Fault restart() {
        return new Fault(Kind.RESTART, false);
    }

    /** Processes the request, sends half of the answer's body, and keeps the connection open. */
    static Fault stall() {
        return new Fault(Kind.STALL, true);
    }

    /** Processes the request, sends half of the answer's body, and then ten bytes a second. */
    static Fault drip() {
        return new Fault(Kind.DRIP, true);
    }

    /** Processes the request, then answers 200 with a web page, as a captive portal does. */
    static Fault notJson() {
        return page(200, "Welcome");
    }

    /** Processes the request, then answers with the web page of a proxy whose time limit has passed. */
    static Fault html524() {
        return page(524, "A timeout occurred");
    }

    /** Neither processes the request nor answers it, until the client or the sandbox closes the connection. */
    static Fault hangBefore() {
        return new Fault(Kind.HANG, false);
    }

    /** Processes the request and never answers it. */
    static Fault hangAfter() {
        return new Fault(Kind.HANG, true);
    }

    /** Answers "100 Continue" again and again instead of processing the request. */
    static Fault interim() {
        return new Fault(Kind.INTERIM, false);
    }

    private static Fault page(int status, String title) {
        return new Fault(Kind.ANSWER, true, status, "<!DOCTYPE html><html><head><title>%1$s</title></head><body><h1>%1$s</h1></body></html>"
                .formatted(title), Map.of("Content-Type", "text/html; charset=UTF-8"));
    }
}
