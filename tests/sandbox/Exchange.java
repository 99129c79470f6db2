import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/**
 * A request to the sandbox and its answer.
 *
 * @param start {@link System#nanoTime} when the request was read
 * @param end {@link System#nanoTime} just before the answer was sent or the connection was closed
 * @param path percent-encoded and without the query
 * @param query the decoded parameters
 * @param requestHeaders names in lower case
 * @param status 0 if the client got no answer
 * @param responseBody the part of the body that was sent
 */
record Exchange(long start, long end, String method, String path, Map<String, String> query, Map<String, String> requestHeaders,
        String requestBody, int status, String responseBody) {

    /** Returns the longest chain in which each request starts after the previous one has ended: the round trips that a run waits for. */
    static List<Exchange> longestChain(List<Exchange> exchanges) {
        // To choose the request that ends first leaves the most time for the rest.
        List<Exchange> chain = new ArrayList<>();
        for (Exchange exchange : exchanges.stream().sorted(Comparator.comparingLong(Exchange::end)).toList()) {
            if (chain.isEmpty() || exchange.start() > chain.get(chain.size() - 1).end()) {
                chain.add(exchange);
            }
        }
        return chain;
    }

    /** Leaves out headers, bodies and query, which contain secrets. */
    @Override
    public String toString() {
        return method + " " + path + " " + status;
    }
}
