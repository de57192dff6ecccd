"""Replies in the shapes of the providers' APIs, with made-up contents, and a place on the loopback that gives them."""

from web_stubs import reply_json

SERPER_TEXT = {
    "searchParameters": {"q": "torvik", "gl": "us", "hl": "en", "num": 10, "type": "search", "engine": "google"},
    "answerBox": {"title": "Helsa Cup 2031", "answer": "Torvik Rovers", "link": "https://cup.example.org/2031"},
    "knowledgeGraph": {
        "title": "Torvik Rovers",
        "type": "Football club",
        "website": "https://rovers.example.org/",
        "imageUrl": "https://images.example.com/graph.png",
        "description": "The Torvik Rovers are a club.",
        "descriptionSource": "Wikipedia",
        "descriptionLink": "https://wiki.example.org/Torvik_Rovers",
        "attributes": {"Emblem": "red star", "Founded": "1931"},
    },
    "organic": [
        {
            "title": "Torvik  Rovers\n2 - Wiki",
            "link": "https://wiki.example.org/a b",
            "snippet": "The emblem is " + "very " * 100 + "red.",
            "sitelinks": [{"title": "History", "link": "https://wiki.example.org/h"}],
            "date": "3 days ago",
            "position": 1,
        },
        {"title": "Bad link", "link": "javascript:alert(1)", "snippet": "x", "position": 2},
        {"title": "No link", "snippet": "x", "position": 3},
        {"link": "https://plain.example.org/", "position": 4},
    ],
    "peopleAlsoAsk": [{"question": "Who?", "snippet": "They.", "title": "t", "link": "https://paa.example.org"}],
    "relatedSearches": [{"query": "torvik emblem"}],
    "credits": 1,
}


def serper_image(title: str, url: str, position: int) -> dict:
    return {
        "title": title,
        "imageUrl": url,
        "imageWidth": 640,
        "imageHeight": 480,
        "thumbnailUrl": "https://thumbs.example.com/x",
        "thumbnailWidth": 259,
        "thumbnailHeight": 194,
        "source": "Example",
        "domain": "www.example.org",
        "link": f"https://www.example.org/page{position}",
        "googleUrl": "https://www.google.com/imgres?x",
        "position": position,
    }


PICTURES = [
    ("One", "http://images.example.com/one.png"),
    ("One again", "http://images.example.com/one.png"),
    ("Inward", "http://127.0.0.1/admin.png"),
    ("Metadata", "http://169.254.169.254/latest/meta-data/"),
    ("File", "file:///etc/passwd"),
    ("Two", "http://images.example.com/two.png"),
    ("Drawing", "http://images.example.com/drawing.svg"),
    ("Three", "http://images.example.com/three.png"),
]
SERPER_IMAGES = {
    "searchParameters": {"q": "torvik", "gl": "us", "hl": "en", "num": 10, "type": "images", "engine": "google"},
    "images": [serper_image(title, url, position) for position, (title, url) in enumerate(PICTURES, start=1)],
    "credits": 1,
}
SERPER_EMPTY = {"searchParameters": {"q": "qqq", "type": "search", "engine": "google"}, "organic": [], "credits": 1}

TAVILY_TEXT = {
    "query": "torvik",
    "follow_up_questions": None,
    "answer": None,
    "images": [],
    "results": [
        {
            "url": "https://wiki.example.org/Torvik_Rovers",
            "title": "Torvik Rovers",
            "content": "The emblem is a red star.\n\nFounded  1931.",
            "score": 0.90849644,
            "raw_content": None,
        },
        {"url": "https://b.example.org/", "title": "B", "content": "b", "score": 0.5, "raw_content": None},
    ],
    "response_time": 0.7,
    "request_id": "2fd6ec31-5efa-40c7-b9d2-b0e4fa9d3c86",
}
TAVILY_IMAGES = TAVILY_TEXT | {"images": [{"url": url, "description": title} for title, url in PICTURES]}
TAVILY_EMPTY = TAVILY_TEXT | {"results": []}

DUCKDUCKGO_TEXT = """<!DOCTYPE html><html><body><div class="serp__results"><div id="links" class="results">
<div class="result results_links results_links_deep result--ad"><div class="links_main links_deep result__body">
<h2 class="result__title"><a class="result__a" href="https://duckduckgo.com/y.js?ad_domain=x">Ad</a></h2>
<a class="result__snippet" href="https://duckduckgo.com/y.js?ad_domain=x">Buy</a></div></div>
<div class="result results_links results_links_deep web-result "><div class="links_main links_deep result__body">
<h2 class="result__title">
<a rel="nofollow" class="result__a" href="https://wiki.example.org/Torvik">Torvik &amp; co</a></h2>
<a class="result__snippet" href="https://wiki.example.org/Torvik">The <b>emblem</b> is a red star.</a></div></div>
<div class="result results_links results_links_deep web-result "><div class="links_main links_deep result__body">
<h2 class="result__title"><a rel="nofollow" class="result__a" href="WRAPPED">B</a></h2>
<a class="result__snippet" href="WRAPPED">b</a></div></div>
</div></div></body></html>""".replace(
    "WRAPPED", "//duckduckgo.com/l/?uddg=https%3A%2F%2Fb.example.org%2Fx%3Fy%3D1%26z&amp;rut=9f"
)
DUCKDUCKGO_EMPTY = "<html><body><div class='no-results'>No results found for <b>qqq</b>.</div></body></html>"
DUCKDUCKGO_TOKEN = '<html><script>vqd="4-1234";</script></html>'
DUCKDUCKGO_IMAGES = {
    "ads": None,
    "next": "i.js?q=torvik&s=100",
    "query": "torvik",
    "results": [
        {
            "height": 480,
            "width": 640,
            "image": url,
            "image_token": "0f",
            "source": "Bing",
            "thumbnail": "https://tse.example.net/th",
            "title": title,
            "url": f"https://www.example.org/page{position}",
        }
        for position, (title, url) in enumerate(PICTURES, start=1)
    ],
}

WRONG_KEY = {
    "serper": reply_json({"message": "Unauthorized. KEY-123", "statusCode": 403}, 403),
    "tavily": reply_json({"detail": {"error": "Unauthorized: missing or invalid API key. KEY-123"}}, 401),
}
NO_CREDITS = {
    "serper": reply_json({"message": "Not enough credits", "statusCode": 400}, 400),
    "tavily": reply_json({"detail": {"error": "This request exceeds your plan's set usage limit."}}, 432),
}
