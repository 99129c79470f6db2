import java.util.Map;

/**
 * A way for one answer of the sandbox to go wrong, as it does on a bad network or behind a bad proxy.
 *
 * @param kind what happens
 * @param acts whether the request takes effect before it goes wrong
 * @param status the status of an answer that is sent instead of the real one, otherwise unused
 * @param body the body of such an answer
 * @param headers the headers of such an answer
 */
record Fault(Kind kind, boolean acts, int status, String body, Map<String, String> headers) {

    enum Kind { ANSWER, RESET, RESTART, CUT, STALL, DRIP, HANG, INTERIM }

    /** Answers with this status and JSON body instead; the request takes no effect. */
    static Fault status(int status, String body, Map<String, String> headers) {
        return new Fault(Kind.ANSWER, false, status, body, headers);
    }

    /** Answers with an error in the form of Neon's API; the request takes no effect. */
    static Fault neon(int status, String code, String message) {
        return status(status, """
                {"request_id":"5f0a6a3e-8f5e-4b6b-9d0c-2f6a1f6f6c11","code":"%s","message":"%s"}""".formatted(code, message), Map.of());
    }

    /** Neon's answer while other operations run in the project. The request takes no effect and may be sent again. */
    static Fault locked() {
        return neon(423, "", "project already has running conflicting operations, scheduling of new ones is prohibited");
    }

    /** Breaks the connection with a reset before the request takes effect. */
    static Fault resetBefore() {
        return new Fault(Kind.RESET, false, 0, "", Map.of());
    }

    /** Lets the request take effect, then breaks the connection with a reset: the answer is lost. */
    static Fault resetAfter() {
        return new Fault(Kind.RESET, true, 0, "", Map.of());
    }

    /** Lets the request take effect, then announces the whole answer and sends half of its body. */
    static Fault cut() {
        return new Fault(Kind.CUT, true, 0, "", Map.of());
    }

    /** Breaks all connections before the request takes effect, and refuses new ones for a moment, as a server does that is started anew. */
    static Fault restart() {
        return new Fault(Kind.RESTART, false, 0, "", Map.of());
    }

    /** Lets the request take effect, then announces the whole answer, sends half of its body, and keeps the connection open. */
    static Fault stall() {
        return new Fault(Kind.STALL, true, 0, "", Map.of());
    }

    /** Lets the request take effect, then sends the body of the answer byte by byte, ten a second. */
    static Fault drip() {
        return new Fault(Kind.DRIP, true, 0, "", Map.of());
    }

    /** Lets the request take effect, then answers 200 with a web page, as a captive portal or a proxy does. */
    static Fault notJson() {
        return new Fault(Kind.ANSWER, true, 200, page("Welcome"), Map.of("Content-Type", "text/html"));
    }

    /** Lets the request take effect, then answers with the web page of a proxy that lost patience. */
    static Fault html524() {
        return new Fault(Kind.ANSWER, true, 524, page("A timeout occurred"), Map.of("Content-Type", "text/html; charset=UTF-8"));
    }

    /** Never answers: the connection stays open until the client or the sandbox closes it. The request takes no effect. */
    static Fault hangBefore() {
        return new Fault(Kind.HANG, false, 0, "", Map.of());
    }

    /** Lets the request take effect, then never answers. */
    static Fault hangAfter() {
        return new Fault(Kind.HANG, true, 0, "", Map.of());
    }

    /** Answers "100 Continue" again and again, until the client closes the connection. The request takes no effect. */
    static Fault interim() {
        return new Fault(Kind.INTERIM, false, 0, "", Map.of());
    }

    private static String page(String title) {
        return "<!DOCTYPE html><html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>";
    }
}
