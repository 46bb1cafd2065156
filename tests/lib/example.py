"""The answer that the documentation of the API shows."""

EXAMPLE = """
    {
      "uploadAssetsList": [
        {
          "id": "1234567890",
          "name": "abcdef12345.mp4",
          "userId": 12345,
          "contentType": "video",
          "resource": {
            "resource": "https://v15-kling.klingai.com/….mp4",
            "height": 1080,
            "width": 720,
            "duration": 9040,
            "resourceKey": ""
          },
          "cover": {
            "resource": "https://v15-kling.klingai.com/…",
            "height": 1080,
            "width": 720,
            "duration": 0,
            "resourceKey": ""
          },
          "createTime": 1754630473303,
          "updateTime": 1754630473303,
          "favored": false,
          "extraInfo": "{}",
          "entrance": ""
        },
        {
          "id": "1234567890",
          "name": "abcdef12345.mp4",
          "userId": 12345,
          "contentType": "image",
          "resource": {
            "resource": "https://v15-kling.klingai.com/…",
            "height": 1080,
            "width": 720,
            "duration": 0,
            "resourceKey": ""
          },
          "cover": {
            "resource": "",
            "height": 1,
            "width": 1,
            "duration": 0,
            "resourceKey": ""
          },
          "createTime": 1754627757354,
          "updateTime": 1754627757354,
          "favored": false,
          "extraInfo": "{}",
          "entrance": ""
        }
      ]
    }
"""
"""The response of useapi.net's own page (August 2025), to the letter."""
